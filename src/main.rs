//! The command line.
fn main() -> anyhow::Result<()> {
    for crd in spacesync::resources::crds() {
        print!("---\n{}", serde_saphyr::to_string(&crd)?);
    }
    Ok(())
}
