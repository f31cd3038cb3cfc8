use tracing_subscriber::layer::SubscriberExt;

use super::*;

/// What the journal is sent while `work` is done.
fn sent(work: impl FnOnce()) -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let ear = UnixDatagram::bind(&path).unwrap();
    ear.set_nonblocking(true).unwrap();
    let registry = tracing_subscriber::registry().with(Journal::at(&path).unwrap());
    tracing::subscriber::with_default(registry, work);
    let mut buffer = vec![0; 1 << 16];
    let hear = || ear.recv(&mut buffer).ok().map(|count| buffer[..count].to_vec());
    std::iter::from_fn(hear).collect()
}

fn only(work: impl FnOnce()) -> String {
    let datagrams = sent(work);
    assert_eq!(datagrams.len(), 1);
    String::from_utf8(datagrams[0].clone()).unwrap()
}

#[test]
fn an_event_is_a_line_for_people_and_fields_to_search_by() {
    let status: Option<u16> = None;
    let entry = only(|| {
        tracing::warn!(
            target: "here", event = "delivery.dead", endpoint = %"crm", attempts = 3, status,
            why = "no answer", late = true, "it is put aside",
        );
    });
    assert_eq!(
        entry,
        "MESSAGE=delivery.dead endpoint=crm attempts=3 why=\"no answer\" late=true: \
         it is put aside\n\
         PRIORITY=4\nSYSLOG_IDENTIFIER=postrider\nTARGET=here\n\
         POSTRIDER_EVENT=delivery.dead\nPOSTRIDER_ENDPOINT=crm\nPOSTRIDER_ATTEMPTS=3\n\
         POSTRIDER_WHY=no answer\nPOSTRIDER_LATE=true\n"
    );
}

#[test]
fn an_event_without_fields_or_without_a_name_has_a_line_as_well() {
    let ready = only(|| tracing::info!(event = "daemon.ready"));
    assert!(ready.starts_with("MESSAGE=daemon.ready\nPRIORITY=6\n"), "{ready}");
    let library = only(|| tracing::error!(tree = 7, "trouble"));
    assert!(library.starts_with("MESSAGE=tree=7: trouble\nPRIORITY=3\n"), "{library}");
    let said = only(|| tracing::info!("trouble"));
    assert!(said.starts_with("MESSAGE=trouble\n"), "{said}");
}

#[test]
fn a_value_of_others_begins_neither_a_line_nor_a_field() {
    let value = "a\nPRIORITY=0";
    let entry = &sent(|| tracing::info!(event = "e", odd = value))[0];
    let entry = String::from_utf8(entry.clone()).unwrap();
    assert!(entry.starts_with("MESSAGE=e odd=\"a\\nPRIORITY=0\"\n"), "{entry}");
    let length = char::from(u8::try_from(value.len()).unwrap());
    let field = format!("POSTRIDER_ODD\n{length}\0\0\0\0\0\0\0{value}\n");
    assert!(entry.ends_with(&field), "{entry}");
}

#[test]
fn what_is_long_is_cut() {
    let long = "\u{e4}".repeat(VALUE_BYTES_MAX);
    let entry = only(|| tracing::info!(event = "e", a = long, b = long, c = long, d = long));
    assert!(entry.len() < LINE_BYTES_MAX + 5 * VALUE_BYTES_MAX, "{}", entry.len());
    let kept = entry.lines().find(|line| line.starts_with("POSTRIDER_D=")).unwrap();
    assert_eq!(kept.len(), "POSTRIDER_D=".len() + VALUE_BYTES_MAX);
}

#[test]
fn a_journal_that_is_not_there_is_an_error_at_the_beginning_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    assert!(Journal::at(&path).is_err());
    let ear = UnixDatagram::bind(&path).unwrap();
    let registry = tracing_subscriber::registry().with(Journal::at(&path).unwrap());
    tracing::subscriber::with_default(registry, || {
        drop(ear);
        tracing::info!(event = "unheard");
        std::fs::remove_file(&path).unwrap();
        let again = UnixDatagram::bind(&path).unwrap();
        tracing::info!(event = "heard");
        let mut buffer = [0; 64];
        let count = again.recv(&mut buffer).unwrap();
        assert!(buffer[..count].starts_with(b"MESSAGE=heard\n"));
    });
}
