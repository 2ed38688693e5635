//! Helm, built by Go. A module of its own: it wants other versions of Kubernetes' libraries than the control plane.

use anyhow::Result;

use super::{golang, once};
use crate::{places, progress};

const GO_MISSING: &str = "Go is missing. It builds Helm once (3 minutes). Install Go 1.26 or newer from \
    https://go.dev/dl/ or your distribution, or set KUBEBUILDER_ASSETS to a folder that has helm";

pub(super) fn ensure() -> Result<()> {
    let folder = places::source().join("helm");
    let module = golang::module(&folder)?;
    let version = golang::required(&module, "helm.sh/helm/v4")?;
    once(&places::bin(), "helm", &format!("helm {version}\n"), |into| {
        let what = format!("building Helm {version}, once, about 3 minutes");
        let ldflags = format!("-s -w -X helm.sh/helm/v4/internal/version.version={version}");
        let mut go = golang::install(&folder, into, &ldflags, "tool", GO_MISSING)?;
        progress::run(&what, &mut go, &places::bin().join("helm.log"), String::new)
    })
}
