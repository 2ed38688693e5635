//! A world of many syncs: each with a space, a namespace and an entry of five keys of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
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

use crate::{
    audit::{Audit, Request, is_read},
    process::{cpu, rss},
    stage::{self, Operator, SYSTEM, objects::apply},
};

/// As the floor is defined.
pub const CONNECTIONS: usize = 16;
const LIMIT: Duration = Duration::from_mins(10);

/// Where the entries are.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
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
    /// Of the operator, with what came late.
    pub cpu: Duration,
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
                let pid = self.operator.as_ref().context("there is no operator")?.pid();
                return Ok(FirstSync { took, writes, cpu: cpu(pid)? });
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
        let (before, (store, values)) = (cpu(pid)?, self.store_requests()?);
        tokio::time::sleep(time).await;
        let (store_now, values_now) = self.store_requests()?;
        let api = self.audit.news()?.into_iter().filter(Request::counts).map(|r| (r.verb, r.uri)).collect();
        Ok(Observed {
            api,
            store: store_now - store,
            values: values_now - values,
            cpu: cpu(pid)?.saturating_sub(before),
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
