//! [`Origins`]: which web pages may read the answers.

use actix_cors::Cors;
use actix_web::http::header::RETRY_AFTER;

use super::trace::REQUEST_ID;

/// How long a browser may keep the answer to a preflight, in seconds.
const MAX_AGE_SECONDS: usize = 3600;

/// Which web pages may read the answers. None may send credentials: the service has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every page.
    Any,
    /// Pages of these origins, each like `https://carepath.example`.
    List(Vec<String>),
}

impl Origins {
    pub(super) fn cors(&self) -> Cors {
        let cors = match self.clone() {
            Self::Any => Cors::default().allow_any_origin().send_wildcard(),
            Self::List(origins) => Cors::default().allowed_origin_fn(move |origin, _| {
                origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
            }),
        };
        cors.allow_any_method().allow_any_header().expose_headers([REQUEST_ID, RETRY_AFTER]).max_age(MAX_AGE_SECONDS)
    }
}
