//! stub
use crate::{
    cluster::{cache::Key, queue::Next},
    operator::Context,
};
use std::sync::Arc;
/// stub
pub async fn look(_ctx: &Arc<Context>, _key: &Key) -> Next {
    Next::OnChange
}
