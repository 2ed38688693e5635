//! The command line: what can be asked, in words worth reading. What it does is elsewhere.

pub mod crds;
pub mod metrics;
pub mod reasons;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use url::Url;

use crate::resources::names::DEFAULT_NAMESPACE;

/// Keeps every running flow app in step with the secrets of its space, live, and proves that they arrived.
#[derive(Debug, Parser)]
#[command(
    name = "spacesync",
    version,
    max_term_width = 100,
    after_help = "\
Try it:
  spacesync crds | kubectl apply --server-side -f -    install or upgrade the custom resources
  spacesync operator --log-format text                 run against the cluster of KUBECONFIG
  spacesync help operator                              every flag of a command"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const OPERATOR: &str = "\
Run the operator: bring spaces' secrets into their namespaces and on to the running flow apps.

In a pod it takes the cluster that it runs in, with the pod's service account. Anywhere else it takes the current \
context of KUBECONFIG (or ~/.kube/config). Several replicas may run: one holds the lease and writes, all serve the \
pods' API, and another takes over when the first goes. SIGTERM ends it in order.

Stores are reached by way of HTTPS_PROXY where it is set, less what NO_PROXY names; the API server is always reached directly.

What it needs in the cluster (custom resources, role) is in deploy/; /readyz names what is missing. \
RUST_LOG sets how much it logs, for example RUST_LOG=info,spacesync=debug.";

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator: bring spaces' secrets into their namespaces and on to the running flow apps
    #[command(long_about = OPERATOR)]
    Operator(OperatorArgs),
    /// Print the custom resource definitions as YAML, ready for `kubectl apply`
    Crds(CrdsArgs),
    /// Print a completion script for a shell
    #[command(after_help = "\
Example:
  source <(spacesync completion bash)")]
    Completion {
        /// The shell that is to complete.
        shell: clap_complete::Shell,
    },
    /// Print a page of the reference documentation
    #[command(hide = true)]
    Docs {
        /// Which page.
        page: Page,
    },
}

/// How the operator runs. Each flag can be given as `SPACESYNC_<FLAG>` as well.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  spacesync operator                                            as in deploy/operator.yaml
  KUBECONFIG=~/.kube/dev spacesync operator --log-format text   from a workstation
  SPACESYNC_LOG_FORMAT=text spacesync operator                  the same by environment")]
pub struct OperatorArgs {
    /// The operator's own namespace: the embedded store's Secrets, the stores' credentials and the lease are there
    #[arg(long, env = "SPACESYNC_NAMESPACE", hide_env_values = true, default_value = DEFAULT_NAMESPACE)]
    pub namespace: String,
    /// The only namespaces that are served, separated by commas, so that the operator needs rights in these alone
    /// (deploy/namespaced/) [default: the whole cluster]
    #[arg(long, env = "SPACESYNC_WATCH_NAMESPACES", hide_env_values = true, value_name = "NAMESPACES")]
    #[arg(value_delimiter = ',', value_parser = namespace)]
    pub watch_namespaces: Vec<String>,
    /// Where /healthz, /readyz and /metrics are served, over plain HTTP
    #[arg(long, env = "SPACESYNC_METRICS_LISTEN", hide_env_values = true, value_name = "ADDRESS:PORT")]
    #[arg(default_value = "0.0.0.0:8080")]
    pub metrics_listen: SocketAddr,
    /// Where the pods' API is served, over HTTPS
    #[arg(long, env = "SPACESYNC_API_LISTEN", hide_env_values = true, value_name = "ADDRESS:PORT")]
    #[arg(default_value = "0.0.0.0:8443")]
    pub api_listen: SocketAddr,
    /// The https address of the pods' API that pods are told, and a name of its certificate
    /// [default: the address of the Service `spacesync`]
    #[arg(long, env = "SPACESYNC_API_URL", hide_env_values = true, value_name = "URL", value_parser = https)]
    pub api_url: Option<Url>,
    /// How many workloads with `reload: Restart` may roll at once, over all namespaces; the others wait for their turn
    #[arg(
        long,
        env = "SPACESYNC_ROLLOUTS_AT_ONCE",
        hide_env_values = true,
        value_name = "NUMBER",
        default_value_t = 5
    )]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub rollouts_at_once: u16,
    /// How log lines look: json for machines, text for people
    #[arg(long, env = "SPACESYNC_LOG_FORMAT", hide_env_values = true, value_name = "FORMAT", default_value = "json")]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Where the definitions go.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  spacesync crds | kubectl apply --server-side -f -    install or upgrade them
  spacesync crds --write crds                          one file each, as they are kept in the repository")]
pub struct CrdsArgs {
    /// Write one file for each definition into this folder instead
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
}

/// A page that is made from the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// Every reason that a condition can have.
    Reasons,
    /// Every metric.
    Metrics,
    /// The OpenAPI document of the pods' API.
    Openapi,
}

/// The pods send their tokens there, so nothing but https will do.
fn https(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let host = url.host_str().is_some_and(|host| !host.is_empty());
    if url.scheme() == "https" && host { Ok(url) } else { Err("must begin with https:// and name a host".to_owned()) }
}

/// The API server refuses any other name.
fn namespace(text: &str) -> Result<String, String> {
    let name = text.trim();
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name =
        (1..=63).contains(&name.len()) && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-');
    let says =
        "must be names of namespaces, separated by commas, such as newsroom-dev,newsroom; patterns are not supported";
    if is_name { Ok(name.to_owned()) } else { Err(says.to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn operator(args: &[&str]) -> Result<OperatorArgs, clap::Error> {
        match Cli::try_parse_from(["spacesync", "operator"].iter().chain(args))?.command {
            Command::Operator(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_flag_of_the_operator_is_an_environment_variable_too() {
        let cli = Cli::command();
        let operator = cli.find_subcommand("operator").unwrap();
        for flag in operator.get_arguments().filter(|arg| arg.get_id() != "help") {
            let name = flag.get_long().unwrap().to_uppercase().replace('-', "_");
            assert_eq!(flag.get_env().and_then(|env| env.to_str()), Some(format!("SPACESYNC_{name}").as_str()));
        }
    }

    #[test]
    fn pods_are_told_an_https_address_only() {
        for bad in ["http://a.example", "https://", "a.example:8443", "ftp://a.example", ""] {
            assert!(operator(&["--api-url", bad]).is_err(), "{bad}");
        }
        assert_eq!(operator(&["--api-url", "https://a.example:8443"]).unwrap().api_url.unwrap().port(), Some(8443));
    }

    #[test]
    fn namespaces_to_watch_are_names_separated_by_commas() {
        let watched = |text: &str| operator(&[&format!("--watch-namespaces={text}")]).map(|args| args.watch_namespaces);
        assert_eq!(watched("newsroom-dev, b").unwrap(), ["newsroom-dev", "b"]);
        for bad in ["", "a,", "a b", "*", "A", "-a", "a-", "a.b", &"a".repeat(64)] {
            let said = watched(bad).unwrap_err().to_string();
            assert!(said.contains("must be names of namespaces, separated by commas"), "{bad}: {said}");
        }
    }

    #[test]
    fn without_flags_the_defaults_hold() {
        let args = operator(&[]).unwrap();
        assert!(args.watch_namespaces.is_empty());
        assert_eq!((args.namespace.as_str(), args.log_format), ("spacesync-system", LogFormat::Json));
        assert_eq!(args.rollouts_at_once, 5);
        assert!(operator(&["--rollouts-at-once", "0"]).is_err(), "nothing would ever restart");
        assert_eq!((args.metrics_listen.port(), args.api_listen.port(), args.api_url), (8080, 8443, None));
    }
}
