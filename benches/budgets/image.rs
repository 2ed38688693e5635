//! How large the operator is.

use std::path::Path;

use anyhow::Result;

use crate::{
    report::Report,
    stage::operator_image::{self, BUDGET, Sizes},
};

/// The release build, and the image of it.
pub fn measure(report: &mut Report, binary: &Path) -> Result<()> {
    let sizes = Sizes::of(binary, &operator_image::archive(binary)?)?;
    for (what, size, budget) in [("binary", sizes.binary, BUDGET.binary), ("image", sizes.image, BUDGET.image)] {
        let megabytes = |bytes: u64| format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10);
        report.row(what, "", &megabytes(size), &format!("≤ {}", megabytes(budget)), size <= budget);
    }
    Ok(())
}
