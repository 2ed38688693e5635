//! A world of many syncs: each with a space, a namespace and an entry of five keys of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufRead, BufReader, Seek, SeekFrom},
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use devcluster::{ControlPlane, OpenBao, OpenBaoOptions};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    ByteString, NamespaceResourceScope,
    api::core::v1::{Namespace, Secret},
    jiff::Timestamp,
};
use kube::{Api, Client, Resource, api::PostParams};
use serde_json::{Value as Json, json};
use spacesync::resources::{Space, SpaceSecretSync};

use crate::stage::{self, Operator, SYSTEM, objects::apply};

/// As the floor is defined.
pub const CONNECTIONS: usize = 16;
const OPERATOR: &str = "system:serviceaccount:spacesync-system:spacesync";
const LIMIT: Duration = Duration::from_mins(3);
/// The smallest unit of CPU time in /proc.
const TICK: Duration = Duration::from_millis(10);

/// Where the entries are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Embedded,
    OpenBao,
}

impl Store {
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::OpenBao => "OpenBao",
        }
    }
}

/// The world.
pub struct Crowd {
    pub store: Store,
    pub size: usize,
    pub plane: ControlPlane,
    pub bao: Option<OpenBao>,
    pub client: Client,
    operator: Option<Operator>,
    audit: Audit,
}

/// The first sync of all.
pub struct FirstSync {
    /// From the operator's start to the last status.
    pub took: Duration,
    /// How many of which, Events and the lease aside.
    pub writes: BTreeMap<String, usize>,
}

/// What the operator did in a while.
pub struct Observed {
    /// Verb and path, watches and the lease aside.
    pub api: Vec<(String, String)>,
    /// Requests to OpenBao.
    pub store: usize,
    /// Those that read values.
    pub values: usize,
    pub cpu: Duration,
    /// In MB.
    pub rss: f64,
    /// Until it was ready, where it was started.
    pub ready: Duration,
}

impl Crowd {
    /// All but the operator.
    pub async fn raise(store: Store, size: usize) -> Result<Self> {
        let plane = tokio::task::spawn_blocking(ControlPlane::start).await??;
        stage::install(&plane)?;
        let client = stage::client(&plane).await?;
        let bao = match store {
            Store::Embedded => None,
            Store::OpenBao => Some(OpenBao::start(OpenBaoOptions::default())?),
        };
        apply(&client, &manager(bao.as_ref())?).await?;
        let audit = Audit::of(&plane.audit_log());
        let crowd = Self { store, size, plane, bao, client, operator: None, audit };
        crowd.populate().await?;
        Ok(crowd)
    }

    async fn populate(&self) -> Result<()> {
        let entries = |number: usize| async move {
            let name = name(number);
            let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
            Api::all(self.client.clone()).create(&PostParams::default(), &namespace).await?;
            match &self.bao {
                Some(bao) => put(bao, &name, 0)?,
                None => drop(self.api::<Secret>(SYSTEM).create(&PostParams::default(), &entry(&name)).await?),
            }
            let space: Space =
                object("Space", &name, &json!({"namespaces": [name], "secretManagerRef": {"name": "store"}}))?;
            Api::all(self.client.clone()).create(&PostParams::default(), &space).await?;
            let sync: SpaceSecretSync = object("SpaceSecretSync", "secrets", &json!({}))?;
            self.api(&name).create(&PostParams::default(), &sync).await?;
            anyhow::Ok(())
        };
        stream::iter(0..self.size).map(entries).buffer_unordered(CONNECTIONS).try_collect::<Vec<()>>().await?;
        // What the controller manager has to do for so many new namespaces is not to be measured.
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(())
    }

    /// Starts the operator and waits until every sync has its Secret and its status.
    pub async fn first_sync(&mut self, binary: &Path) -> Result<FirstSync> {
        self.audit.news()?;
        let began = Timestamp::now();
        self.start(binary)?;
        let mut took = None;
        let (mut secrets, mut statuses, waited) = (0, BTreeSet::new(), Instant::now());
        let mut writes = BTreeMap::new();
        let mut note = |request: &Request| *writes.entry(request.what()).or_insert(0) += 1;
        loop {
            for request in self.audit.news()?.iter().filter(|r| r.counts() && !is_read(&r.verb)) {
                note(request);
                secrets += usize::from(request.what() == "create secrets" && request.namespace != SYSTEM);
                if request.resource == "spacesecretsyncs" {
                    statuses.insert(request.namespace.clone());
                }
                if secrets >= self.size && statuses.len() >= self.size {
                    took = took.or(Some(request.done.duration_since(began).unsigned_abs()));
                }
            }
            if let Some(took) = took {
                // What comes late is counted too.
                tokio::time::sleep(Duration::from_secs(2)).await;
                self.audit.news()?.iter().filter(|r| r.counts() && !is_read(&r.verb)).for_each(note);
                return Ok(FirstSync { took, writes });
            }
            if waited.elapsed() > LIMIT {
                bail!("{secrets} Secrets and {} statuses of {} after {LIMIT:?}", statuses.len(), self.size);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn start(&mut self, binary: &Path) -> Result<()> {
        let operator = Operator::start(&self.plane, binary, IpAddr::V4(Ipv4Addr::LOCALHOST), "warn")?;
        self.operator = Some(operator);
        Ok(())
    }

    /// Waits until the operator has asked nothing for a while.
    pub async fn rest(&mut self, quiet: Duration) -> Result<()> {
        let (began, mut last) = (Instant::now(), Instant::now());
        while last.elapsed() < quiet {
            if self.audit.news()?.iter().any(Request::counts) {
                last = Instant::now();
            }
            if began.elapsed() > LIMIT {
                bail!("the operator does not come to rest within {LIMIT:?}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Looks on for a while.
    pub async fn observe(&mut self, time: Duration) -> Result<Observed> {
        self.audit.news()?;
        let pid = self.operator.as_ref().context("there is no operator")?.pid();
        let (cpu, (store, values)) = (cpu(pid)?, self.store_requests()?);
        tokio::time::sleep(time).await;
        let (store_now, values_now) = self.store_requests()?;
        let api = self.audit.news()?.into_iter().filter(Request::counts).map(|r| (r.verb, r.uri)).collect();
        Ok(Observed {
            api,
            store: store_now - store,
            values: values_now - values,
            cpu: self::cpu(pid)?.saturating_sub(cpu),
            rss: rss(pid)?,
            ready: Duration::ZERO,
        })
    }

    /// Ends the operator and starts another.
    pub async fn restart(&mut self, binary: &Path) -> Result<Observed> {
        self.operator.as_mut().context("there is no operator")?.stop()?;
        self.audit.news()?;
        let ((store, values), began) = (self.store_requests()?, Instant::now());
        self.start(binary)?;
        let ready = began.elapsed();
        // Longer than a lease that was not given back would take.
        tokio::time::sleep(Duration::from_secs(25)).await;
        let pid = self.operator.as_ref().context("there is no operator")?.pid();
        let (store_now, values_now) = self.store_requests()?;
        let api = self.audit.news()?.into_iter().filter(Request::is_new).map(|r| (r.verb, r.uri)).collect();
        Ok(Observed {
            api,
            store: store_now - store,
            values: values_now - values,
            cpu: cpu(pid)?,
            rss: rss(pid)?,
            ready,
        })
    }

    /// All requests to OpenBao so far, and those of them that read values.
    fn store_requests(&self) -> Result<(usize, usize)> {
        let Some(bao) = &self.bao else { return Ok((0, 0)) };
        let requests = bao.requests()?;
        let values = requests.iter().filter(|(op, path)| op == "read" && path.starts_with("secret/data/")).count();
        Ok((requests.len(), values))
    }

    /// Objects of a namespace.
    pub fn api<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// The name of a space, its namespace and its entry.
pub fn name(number: usize) -> String {
    format!("space-of-{number:05}")
}

/// A value of 40 bytes.
pub fn value(key: usize, round: usize) -> String {
    format!("{:<40}", format!("value-{key}-of-round-{round}"))
}

/// Writes an entry of OpenBao.
pub fn put(bao: &OpenBao, name: &str, round: usize) -> Result<()> {
    let data: serde_json::Map<String, Json> =
        (0..5).map(|key| (format!("KEY_{key}"), value(key, round).into())).collect();
    bao.put(&format!("spaces/{name}"), Json::Object(data)).map(drop)
}

fn entry(name: &str) -> Secret {
    let data = (0..5).map(|key| (format!("KEY_{key}"), ByteString(value(key, 0).into_bytes())));
    let mut secret = Secret { data: Some(data.collect()), ..Secret::default() };
    secret.metadata.name = Some(format!("space-{name}"));
    secret
}

fn object<K: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: &Json) -> Result<K> {
    let object =
        json!({"apiVersion": "spacesync.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    Ok(serde_json::from_value(object)?)
}

fn manager(bao: Option<&OpenBao>) -> Result<Vec<Json>> {
    let of = |spec: Json| json!({"apiVersion": "spacesync.dev/v1alpha1", "kind": "SecretManager", "metadata": {"name": "store"}, "spec": spec});
    let Some(bao) = bao else { return Ok(vec![of(json!({"kubernetes": {}}))]) };
    let policy = r#"
        path "secret/data/spaces/*" { capabilities = ["read"] }
        path "secret/metadata/spaces/*" { capabilities = ["read"] }
        path "secret/detailed-metadata/spaces/*" { capabilities = ["list"] }"#;
    let token = bao.token_with_policy(policy)?;
    Ok(vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bao-token", "namespace": SYSTEM},
               "stringData": {"token": token}}),
        // Its limits are there to spare the source; here it is the operator that is measured.
        of(json!({"openBao": {"address": bao.url(), "auth": {"tokenSecret": {"name": "bao-token", "key": "token"}}},
                  "limits": {"concurrency": 16, "perSecond": 10000}})),
    ])
}

/// One request of the operator.
pub struct Request {
    pub verb: String,
    pub resource: String,
    /// With its slash.
    subresource: String,
    pub namespace: String,
    pub uri: String,
    pub done: Timestamp,
    started: bool,
}

impl Request {
    /// Not a watch, not the lease, not an Event.
    fn counts(&self) -> bool {
        self.verb != "watch" && self.resource != "leases" && self.resource != "events"
    }

    /// A watch that ended was begun earlier.
    fn is_new(&self) -> bool {
        self.resource != "leases" && (self.verb != "watch" || self.started)
    }

    /// Verb and resource.
    fn what(&self) -> String {
        format!("{} {}{}", self.verb, self.resource, self.subresource)
    }
}

/// Whether it changes nothing.
pub fn is_read(verb: &str) -> bool {
    matches!(verb, "get" | "list" | "watch")
}

/// The audit log, read on from where it was read to.
struct Audit {
    log: std::path::PathBuf,
    at: u64,
}

impl Audit {
    fn of(log: &Path) -> Self {
        Self { log: log.to_owned(), at: 0 }
    }

    fn news(&mut self) -> Result<Vec<Request>> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.at))?;
        let (mut lines, mut line, mut news) = (BufReader::new(file), String::new(), Vec::new());
        while lines.read_line(&mut line)? > 0 && line.ends_with('\n') {
            self.at += line.len() as u64;
            if line.contains(OPERATOR) {
                let entry: Json = serde_json::from_str(&line)?;
                news.extend((entry["user"]["username"] == OPERATOR).then(|| request(&entry)).transpose()?);
            }
            line.clear();
        }
        Ok(news)
    }
}

fn request(entry: &Json) -> Result<Request> {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    Ok(Request {
        verb: text(&entry["verb"]),
        resource: text(&entry["objectRef"]["resource"]),
        subresource: entry["objectRef"]["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default(),
        namespace: text(&entry["objectRef"]["namespace"]),
        uri: text(&entry["requestURI"]),
        done: text(&entry["stageTimestamp"]).parse()?,
        started: entry["stage"] == "ResponseStarted",
    })
}

/// User and system time so far.
fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u32 = [11, 12].iter().filter_map(|&field| fields.get(field)?.parse::<u32>().ok()).sum();
    Ok(TICK * ticks)
}

fn rss(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}
