//! Pages: slices of the backend as the API shows them.

use axum::response::Response;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde::Serialize;

use crate::admin::backend::Slice;
use crate::admin::body;
use crate::admin::query::Filters;
use crate::model::view::Page;

/// The answer that shows this slice, with a link to the next page (RFC 8288).
pub(crate) fn page<T: Serialize>(
    path: &str,
    limit: usize,
    filters: &Filters,
    slice: Slice<T>,
) -> Response {
    let next_cursor = slice.next.map(|position| filters.cursor(&position));
    let link = next_cursor
        .as_ref()
        .map(|cursor| format!("<{path}?{}>; rel=\"next\"", filters.next_query(limit, cursor)));
    let mut response = body::json(StatusCode::OK, &Page { data: slice.rows, next_cursor });
    if let Some(link) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}
