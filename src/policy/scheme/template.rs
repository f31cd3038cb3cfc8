//! What is signed: literals, and parts of the request in braces.

use serde::Deserialize;

use crate::policy::scheme::Place;

/// A part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    /// The body, byte for byte.
    Body,
    /// The time, as it is written.
    Time,
    /// The URL that the sender called.
    Url,
    /// The value of a header.
    Header(String),
    /// A text or a whole number at a pointer of a JSON body.
    Json(String),
    /// The secret.
    Secret,
    /// The fields of a form: names and values in order, without anything between.
    Form,
}

/// What is signed, as in `{ts}.{body}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template(pub(super) Vec<Part>);

/// Why a text is no [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace that has no other half.
    #[error("a brace is not closed")]
    Open,
    /// What stands in braces means nothing.
    #[error(
        "{{{0}}} means nothing: write {{body}}, {{ts}}, {{url}}, {{form}}, {{secret}}, \
         {{header:NAME}} or {{json:/POINTER}}"
    )]
    Unknown(String),
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Template, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some((literal, after)) = rest.split_once('{') {
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            let (name, after) = after.split_once('}').ok_or(TemplateError::Open)?;
            parts.push(part(name)?);
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Template(parts))
    }
}

fn part(name: &str) -> Result<Part, TemplateError> {
    let unknown = || TemplateError::Unknown(name.to_owned());
    Ok(match name.split_once(':') {
        None => match name {
            "body" => Part::Body,
            "ts" => Part::Time,
            "url" => Part::Url,
            "form" => Part::Form,
            "secret" => Part::Secret,
            _ => return Err(unknown()),
        },
        Some(("header", header)) if !header.is_empty() => Part::Header(header.to_ascii_lowercase()),
        Some(("json", pointer)) if pointer.starts_with('/') => Part::Json(pointer.to_owned()),
        Some(_) => return Err(unknown()),
    })
}

impl Template {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has_time(&self) -> bool {
        self.0.contains(&Part::Time)
    }

    pub(super) fn has_secret(&self) -> bool {
        self.0.contains(&Part::Secret)
    }

    pub(super) fn has_form(&self) -> bool {
        self.0.contains(&Part::Form)
    }

    /// Whether what stands at a place is signed.
    pub(super) fn covers(&self, place: &Place) -> bool {
        self.has_time()
            || match place {
                Place::Header(name) => self.0.contains(&Part::Header(name.to_ascii_lowercase())),
                Place::Json(pointer) => {
                    self.0.contains(&Part::Body) || self.0.contains(&Part::Json(pointer.clone()))
                }
            }
    }

    pub(super) fn has_url(&self) -> bool {
        self.0.contains(&Part::Url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Part>, TemplateError> {
        Template::try_from(text.to_owned()).map(|template| template.0)
    }

    #[test]
    fn literals_and_parts_are_told_apart() {
        let parts = vec![
            Part::Literal("v0:".to_owned()),
            Part::Time,
            Part::Literal(":".to_owned()),
            Part::Header("webhook-id".to_owned()),
            Part::Json("/a/b".to_owned()),
            Part::Body,
        ];
        assert_eq!(parse("v0:{ts}:{header:Webhook-Id}{json:/a/b}{body}"), Ok(parts));
        assert_eq!(parse(""), Ok(Vec::new()));
        assert_eq!(parse("{body"), Err(TemplateError::Open));
        for wrong in ["bodies", "header:", "json:a", "x:y", ""] {
            assert_eq!(parse(&format!("{{{wrong}}}")), Err(TemplateError::Unknown(wrong.into())));
        }
    }
}
