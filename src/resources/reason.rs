//! Every reason that a condition or an Event of ours can have, in one table.

use std::{fmt, time::Duration};

/// Whether a reason is told as an Event, and of which type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// No Event: nobody needs to act, or the status says it well enough.
    Quiet,
    /// Something new was done, and is told once.
    Normal,
    /// Someone must act.
    Warning,
}

/// When the object is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Only when something that it depends on changes.
    OnChange,
    /// On our own, first after the shorter time, then twice as long each time up to the longer one.
    Backoff(Duration, Duration),
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A store that is down is asked again soon at first, and then about as often as a schedule of one minute would.
const STORE: Retry = Retry::Backoff(secs(2), secs(60));
/// What only a person can mend where we have no watch on it.
const SLOW: Retry = Retry::Backoff(secs(5), secs(300));

macro_rules! reasons {
    ($($name:ident => $telling:expr, $retry:expr, $text:literal;)*) => {
        /// Why a condition is as it is. The texts are templates: `{name}` is filled in by [`Reason::message`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $(#[doc = $text] $name,)* }

        impl Reason {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As the API spells it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Reads what the API spells.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
            }

            /// Whether it is told as an Event.
            pub fn telling(self) -> Telling {
                match self { $(Self::$name => $telling,)* }
            }

            /// When the object is looked at again.
            pub fn retry(self) -> Retry {
                match self { $(Self::$name => $retry,)* }
            }

            /// What the user reads, before anything is filled in.
            pub fn template(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

use Retry::OnChange;
use Telling::{Normal, Quiet, Warning};

reasons! {
    // --- a sync is in step, or waits for no one's fault
    Synced               => Normal,  OnChange, "version {version} is in Secret {name}";
    Suspended            => Quiet,   OnChange, "spec.suspend is true; flows keep what they have";
    Pending              => Quiet,   OnChange, "not synced yet";
    // --- binding
    NamespaceNotBound    => Warning, OnChange, "namespace {ns} belongs to no Space; an admin adds it to spec.namespaces of one";
    SecretManagerNotFound => Warning, OnChange, "Space {space} names SecretManager {manager}, which does not exist";
    SecretManagerInvalid => Warning, SLOW,     "SecretManager {manager} cannot be used: {why}";
    // --- the store
    SourceUnreachable    => Warning, STORE,    "{manager} cannot be reached; flows keep what they have: {why}";
    SourceUnknownHost    => Warning, STORE,    "the host name of {manager} cannot be resolved; check its address; flows keep what they have";
    SourceTls            => Warning, STORE,    "{manager} is not trusted; check address and caBundle: {why}";
    SourceUnauthorized   => Warning, STORE,    "{manager} refused the operator's credential; {why}";
    SourceNoToken        => Warning, STORE,    "the operator gets no service account token for {manager}; {why}";
    SourceForbidden      => Warning, STORE,    "{manager} does not let the operator read {path}; extend its policy: {why}";
    SourceSealed         => Warning, STORE,    "{manager} is sealed; flows keep what they have until it is unsealed";
    SourceNotFound       => Warning, STORE,    "{manager} has no entry {path}; create it, or correct spec.path of the Space";
    SourceDeleted        => Warning, STORE,    "the current version of {path} in {manager} is deleted; flows keep what they have";
    SourceRateLimited    => Warning, STORE,    "{manager} limits how often it is asked, and is asked again when it says so; lower spec.limits of the SecretManager";
    SourceMalformed      => Warning, STORE,    "{manager} gave an answer that cannot be read: {why}";
    SourceTruncated      => Warning, STORE,    "{manager} gave an answer that ended early";
    SourceTooLarge       => Warning, STORE,    "{manager} gave an answer that is too large for a Secret: {why}";
    SourceTimedOut       => Warning, STORE,    "{manager} did not answer in time; flows keep what they have";
    SourceError          => Warning, STORE,    "{manager} answered with an error: {why}";
    SourceGone           => Warning, STORE,    "{path} has gone from {manager}; Secret {name} was deleted, as spec.onSourceGone says";
    // --- the managed Secret
    TargetConflict       => Warning, SLOW,     "Secret {name} exists and is not managed by this sync; choose another target.name, remove it, or let its owner annotate it spacesync.dev/adopt={sync}";
    TargetTaken          => Warning, OnChange, "Secret {name} is the target of the older sync {other}; choose another target.name";
    TargetWriteFailed    => Warning, SLOW,     "Secret {name} could not be written: {why}";
    TooLarge             => Warning, OnChange, "{why}; nothing was written, Secret {name} keeps its last good content; leave keys out with spec.keys";
    TargetTypeUnmet      => Warning, OnChange, "Secret {name} is to be of type {type}, which needs {why}; nothing was written, it keeps its last good content; add that, or change spec.target.type";
    KeysComplete         => Quiet,   OnChange, "all {count} keys are delivered";
    KeysRefused          => Warning, OnChange, "{count} keys are not delivered: {keys}";
    BadKeyPattern        => Warning, OnChange, "{why}";
    // --- delivery
    Delivered            => Quiet,   OnChange, "all {count} pods have loaded revision {revision}";
    NoPods               => Quiet,   OnChange, "no running pod of a flow app that is told or restarted";
    Delivering           => Quiet,   OnChange, "{loaded} of {count} pods have loaded revision {revision}";
    Loaded               => Quiet,   OnChange, "all {count} pods have loaded revision {revision}";
    AwaitingAck          => Quiet,   OnChange, "{loaded} of {count} pods have acknowledged revision {revision}";
    NoAck                => Warning, OnChange, "{count} pods do not acknowledge revision {revision}: {pods}; see their logs";
    NeverAcked           => Quiet,   OnChange, "{count} pods never acknowledged any revision: {pods}; their files are up to date, what their flows read is not known";
    LoadFailed           => Warning, OnChange, "{count} pods could not load revision {revision}: {pods}; they keep what they have; see their logs";
    NotSignalled         => Quiet,   OnChange, "reload is {reload}: pods get no reload signal";
    Restarted            => Quiet,   OnChange, "all {count} pods were started with revision {revision} and are Ready";
    Restarting           => Normal,  OnChange, "{loaded} of {count} pods were started with revision {revision} and are Ready";
    RestartWaiting       => Quiet,   OnChange, "{kind} {name} waits for its turn to restart for revision {revision}: no more than {limit} workloads roll at once";
    RestartStalled       => Warning, OnChange, "the restart for revision {revision} does not come to an end: {why}";
    RestartHeld          => Warning, OnChange, "{kind} {name} is to restart for revision {revision} and does not by itself: {why}";
    RestartFailed        => Warning, SLOW,     "{kind} {name} could not be told to restart for revision {revision}: {why}";
    NothingToLoad        => Quiet,   OnChange, "no revision yet";
    // --- a flow app
    Ready                => Quiet,   OnChange, "sync {sync} serves this app";
    Injected             => Normal,  OnChange, "{kind} {name} mounts Secret {secret} at {path}";
    Withdrawn            => Normal,  OnChange, "{kind} {name} no longer mounts the secrets: FlowApp {app} has gone or names another workload; it rolls once";
    NoSync               => Quiet,   OnChange, "no SpaceSecretSync of this namespace selects this app";
    FlowAppTaken         => Warning, OnChange, "FlowApp {app} is served by the older sync {other}; narrow spec.flowApps.selector";
    WorkloadNotFound     => Warning, OnChange, "{kind} {name} does not exist";
    WorkloadTaken        => Warning, OnChange, "{kind} {name} belongs to the older FlowApp {other}";
    ContainerNotFound    => Warning, OnChange, "{kind} {name} has no container {container}; correct spec.container";
    VolumeConflict       => Warning, OnChange, "{kind} {name} has a volume spacesync of another shape; rename or remove it";
    MountConflict        => Warning, OnChange, "container {container} of {kind} {name} mounts something else at {path}; choose another spec.mountPath";
    InjectionFailed      => Warning, SLOW,     "{kind} {name} could not be changed: {why}";
    PluginServes         => Quiet,   OnChange, "version {version}: the Secret Manager plugin serves the secrets";
    LegacyNodeServes     => Quiet,   OnChange, "version {version} is below 5.3.0: only the legacy Secret Manager node shows secrets to flows there";
    // --- a space
    Bound                => Quiet,   OnChange, "{count} namespaces are bound";
    Waiting              => Warning, OnChange, "{namespaces}: another space has it; annotate this Space spacesync.dev/take-over=<namespace> to take it over";
    OperatorNamespace    => Warning, OnChange, "namespace {ns} is the operator's own and cannot be bound";
    ConfigMapConflict    => Warning, SLOW,     "ConfigMap spacesync-api in {namespaces} exists and is not ours; remove it";
    NamespaceNotWatched  => Warning, OnChange, "{namespaces}: not served, for the operator watches other namespaces only; add it to --watch-namespaces and apply deploy/namespaced/watched.yaml there (chart: watchNamespaces)";
    NamespaceNotFound    => Quiet,   OnChange, "bound as soon as they exist: {namespaces}";
    BindingFailed        => Warning, SLOW,     "not all could be written in {namespaces}: {why}";
    // --- a secret manager
    Reachable            => Quiet,   OnChange, "{store} answers";
    Unused               => Quiet,   OnChange, "no Space is kept here";
}

impl Reason {
    /// Whether it is about the store or the entry there.
    pub fn is_of_source(self) -> bool {
        self.as_str().starts_with("Source")
    }

    /// What the user reads. An argument that is missing stays visible in braces, which a test would see.
    pub fn message(self, args: &[(&str, &str)]) -> String {
        args.iter().fold(self.template().to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_arguments_filled_in() {
        let text = Reason::NamespaceNotBound.message(&[("ns", "newsroom-dev")]);
        assert_eq!(text, "namespace newsroom-dev belongs to no Space; an admin adds it to spec.namespaces of one");
    }

    #[test]
    fn a_backoff_begins_short_and_ends_long() {
        for reason in Reason::ALL {
            if let Retry::Backoff(first, last) = reason.retry() {
                assert!(first < last, "{reason}");
            }
        }
    }
}
