//! `docs/reference/reasons.md`, made from the table of reasons.

use std::fmt::Write;

use crate::resources::{
    Reason,
    reason::{Retry, Telling},
};

const HEAD: &str = "\
<!-- Made from src/resources/reason.rs by `make generate`: change it there. -->
# Reasons

Every reason that a condition of a Spacesync resource can have. *Event* says whether it is told as an Event too;
*looked at again* says when the operator looks again by itself: *on change* means as soon as something that it depends
on changes, a pair of times is a backoff from the first to the second. Words in braces are filled in.

| reason | event | looked at again | what it says |
|---|---|---|---|
";

/// The page.
pub fn page() -> String {
    Reason::ALL.iter().fold(HEAD.to_owned(), |mut page, reason| {
        let event = match reason.telling() {
            Telling::Warning => "Warning",
            Telling::Normal => "Normal",
            Telling::Quiet => "",
        };
        let retry = match reason.retry() {
            Retry::OnChange => "on change".to_owned(),
            Retry::Backoff(first, last) => format!("{} s … {} s", first.as_secs(), last.as_secs()),
        };
        let text = reason.template().replace('|', "\\|").replace('<', "\\<");
        let _ = writeln!(page, "| `{reason}` | {event} | {retry} | {text} |");
        page
    })
}
