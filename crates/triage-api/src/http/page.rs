//! The window on a list that a query string asks for: `?skip&limit`, as CarePath has it.

use serde::Deserialize;
use utoipa::IntoParams;

use super::error::ApiError;
use crate::records::Page;
use actix_web::http::StatusCode;

const DEFAULT_LIMIT: u32 = 10;
const MAX_LIMIT: u32 = 100;

/// Text, so that a wrong number is our error and not the server library's.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Items to leave out at the start.
    #[param(value_type = Option<u32>, minimum = 0, default = 0)]
    skip: Option<String>,
    /// Most items to return.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 10)]
    limit: Option<String>,
}

impl PageQuery {
    pub(super) fn page(&self) -> Result<Page, ApiError> {
        Ok(Page {
            skip: number(self.skip.as_deref(), 0).ok_or_else(|| invalid("skip must be an integer of 0 or more"))?,
            limit: number(self.limit.as_deref(), DEFAULT_LIMIT)
                .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                .ok_or_else(|| invalid("limit must be an integer from 1 to 100"))?,
        })
    }
}

fn number(text: Option<&str>, default: u32) -> Option<u32> {
    text.map_or(Some(default), |text| text.parse().ok())
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message).bare()
}
