use super::*;

#[test]
fn outcomes_are_at_most_40_and_have_one_word_each() {
    assert!(Outcome::ALL.len() <= 40);
    let mut words: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Outcome::ALL.len());
    for outcome in Outcome::ALL {
        let json = serde_json::to_string(outcome).unwrap();
        assert_eq!(json, format!("\"{outcome}\""));
    }
}

#[test]
fn an_excerpt_is_text_for_people_and_bytes_on_disk() {
    let excerpt =
        Excerpt { content_type: "text/html".into(), body: Bytes::from_static(b"<h1>\xFF") };
    let json = serde_json::to_string(&excerpt).unwrap();
    assert_eq!(json, "{\"content_type\":\"text/html\",\"body\":\"<h1>\u{FFFD}\"}");
    let stored = postcard::to_stdvec(&excerpt).unwrap();
    assert_eq!(postcard::from_bytes::<Excerpt>(&stored).unwrap(), excerpt);
}

#[test]
fn statuses_map_to_outcomes() {
    let of = Outcome::of_status;
    assert_eq!([of(200), of(299)], [Outcome::Ok; 2]);
    assert_eq!([of(300), of(304), of(399)], [Outcome::Http3xx; 3]);
    assert_eq!([of(400), of(404), of(499)], [Outcome::Http4xx; 3]);
    assert_eq!([of(408), of(410)], [Outcome::Http408, Outcome::Http410]);
    assert_eq!([of(429), of(500), of(599)], [Outcome::Http429, Outcome::Http5xx, Outcome::Http5xx]);
    assert_eq!([of(100), of(600), of(0)], [Outcome::ProtocolError; 3]);
}
