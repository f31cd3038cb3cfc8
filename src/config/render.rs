//! Findings for a terminal: the line, a caret under the place, and help. A secret that stands in
//! the line is masked.

use annotate_snippets::Annotation;
use annotate_snippets::AnnotationKind;
use annotate_snippets::Group;
use annotate_snippets::Level as Severity;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet as Excerpt;

use crate::config::fault::Finding;
use crate::config::fault::Level;
use crate::config::fault::Snippet;

/// At most this many findings are shown in full; a file that is not ours at all has thousands.
pub const FINDINGS_SHOWN_MAX: usize = 50;

/// Words whose line may hold a secret behind them.
const SENSITIVE: [&str; 7] =
    ["value", "secret", "authorization", "token", "key", "password", "cookie"];
/// Keys of ours that only sound like secrets.
const HARMLESS: [&str; 2] = ["ordering_key", "dedupe_key"];
/// Words that begin a key of a reference to a secret, which is no secret itself.
const REFERENCES: [&str; 3] = ["file", "credential", "env"];
/// What secrets of Standard Webhooks begin with, wherever they stand.
const PREFIXES: [&str; 2] = ["whsec_", "whsk_"];

/// All findings, and how many there are.
pub fn render(findings: &[Finding], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for finding in findings.iter().take(FINDINGS_SHOWN_MAX) {
        text.push_str(&one(finding, &renderer));
        text.push_str("\n\n");
    }
    text.push_str(&summary(findings));
    text
}

/// `2 errors, 1 warning`.
pub fn summary(findings: &[Finding]) -> String {
    let count = |level: Level, word: &str| {
        let many = findings.iter().filter(|finding| finding.level == level).count();
        let plural = if many == 1 { "" } else { "s" };
        (many > 0).then(|| format!("{many} {word}{plural}"))
    };
    let parts = [count(Level::Error, "error"), count(Level::Warning, "warning")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "no errors".to_owned() } else { parts.join(", ") }
}

fn one(finding: &Finding, renderer: &Renderer) -> String {
    let severity = match finding.level {
        Level::Error => Severity::ERROR,
        Level::Warning => Severity::WARNING,
    };
    let title = match (&finding.snippet, &finding.variable) {
        (Some(_), _) => finding.title.clone(),
        (None, Some(variable)) => format!("{} (from {variable})", finding.message),
        (None, None) => finding.message.clone(),
    };
    let title = severity.primary_title(title).id(finding.code.as_str());
    let mut group = match &finding.snippet {
        Some(snippet) => title.element(excerpt(finding, snippet)),
        None => Group::with_title(title),
    };
    if let Some(help) = &finding.help {
        group = group.element(Severity::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// The lines that a finding is about.
fn excerpt<'a>(finding: &'a Finding, snippet: &Snippet) -> Excerpt<'a, Annotation<'a>> {
    let text = snippet.text.as_str();
    let (start, end) = (snippet.span.start.min(text.len()), snippet.span.end.min(text.len()));
    let from = text.get(..start).and_then(|text| text.rfind('\n')).map_or(0, |at| at + 1);
    let rest = text.get(end..).and_then(|text| text.find('\n'));
    let to = rest.map_or(text.len(), |at| end + at);
    let lines = mask(text.get(from..to).unwrap_or_default());
    let mut annotation = AnnotationKind::Primary.span(start - from..end - from);
    if !finding.label.is_empty() {
        annotation = annotation.label(finding.label.as_str());
    }
    let excerpt = Excerpt::source(lines).line_start(finding.line.unwrap_or(1));
    excerpt.path(finding.file.as_deref()).annotation(annotation)
}

/// The text with secrets made unreadable, every byte in its place. After the beginning of a text of
/// several lines, everything counts as secret.
fn mask(text: &str) -> String {
    let mut open = false;
    let mut masked = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if open {
            masked.extend(line.chars().map(stars));
        } else {
            masked.push_str(&mask_user(&mask_line(line)));
        }
        open |= line.contains("\"\"\"") || line.contains("'''");
    }
    masked
}

/// As many stars as a letter has bytes; the end of a line stays.
fn stars(letter: char) -> String {
    if letter == '\n' { "\n".to_owned() } else { "*".repeat(letter.len_utf8()) }
}

/// Masks user name and password in a URL.
fn mask_user(line: &str) -> String {
    let Some((scheme, rest)) = line.split_once("://") else { return line.to_owned() };
    let authority = rest.split(['/', '"', '\'']).next().unwrap_or(rest);
    let Some((user, _)) = authority.rsplit_once('@') else { return line.to_owned() };
    let tail = rest.get(user.len()..).unwrap_or_default();
    format!("{scheme}://{}{tail}", "*".repeat(user.len()))
}

fn mask_line(line: &str) -> String {
    let blank = |line: String, key: &&str| line.replace(key, &" ".repeat(key.len()));
    let lower = HARMLESS.iter().fold(line.to_ascii_lowercase(), blank);
    let named = SENSITIVE.iter().filter_map(|word| lower.find(word)).min();
    let prefixed = PREFIXES.iter().filter_map(|prefix| lower.find(prefix)).min();
    let from = match (named, prefixed) {
        (None, None) => return line.to_owned(),
        (named, prefixed) => named.unwrap_or(usize::MAX).min(prefixed.unwrap_or(usize::MAX)),
    };
    let mut quote = None;
    let mut masked = String::with_capacity(line.len());
    let mut word = String::new();
    for (at, letter) in line.char_indices() {
        let inside = quote.is_some_and(|quote| quote != letter);
        let spared = prefixed.is_none() && REFERENCES.contains(&word.as_str());
        if inside && at >= from && !spared {
            masked.push_str(&stars(letter));
            continue;
        }
        masked.push(letter);
        match (quote, letter) {
            (None, '"' | '\'') => quote = Some(letter),
            (Some(_), '"' | '\'') if !inside => {
                quote = None;
                word.clear();
            }
            (None, ',' | '{' | '[') => word.clear(),
            (None, letter) if letter.is_ascii_alphanumeric() => word.push(letter),
            _ => {}
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_references_are_not() {
        let masked = |line: &str| mask(line);
        assert_eq!(masked("url = \"https://a.example\"\n"), "url = \"https://a.example\"\n");
        assert_eq!(masked("secret = { value = \"abc\" }"), "secret = { value = \"***\" }");
        assert_eq!(masked("secret = \"hunter2\""), "secret = \"*******\"");
        assert_eq!(
            masked("secret = { file = \"/etc/a\" }"),
            "secret = { file = \"/etc/a\" }",
            "a path is no secret"
        );
        assert_eq!(masked("ordering_key = \"/a\""), "ordering_key = \"/a\"");
        assert_eq!(masked("dedupe_key = \"/a\""), "dedupe_key = \"/a\"");
        assert_eq!(masked("x = \"whsec_QUJD\""), "x = \"**********\"");
        assert_eq!(masked("\"Authorization\" = \"Bearer x\""), "\"*************\" = \"********\"");
        assert_eq!(masked("u = \"https://me:pw@a.example/\""), "u = \"https://*****@a.example/\"");
        assert_eq!(masked("value = '''\nabc'''"), "value = '''\n******");
        assert_eq!(masked("a = 'whsec_QQ\n"), "a = '********\n", "even where it has no end");
    }

    #[test]
    fn every_byte_keeps_its_place() {
        let line = "secret = { value = \"\u{e9}t\u{e9}\" } # \u{20ac}\n";
        assert_eq!(mask(line).len(), line.len());
    }
}
