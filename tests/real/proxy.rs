//! Where the way to the store leads by a proxy.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use devcluster::{AuditLevel, OpenBao, OpenBaoOptions};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;

use crate::{
    tenant::Tenant,
    world::{SYSTEM, World},
};

/// A proxy that opens tunnels, and remembers whereto.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = proxy.asked.clone();
        // Both end with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let asked = asked.clone();
                thread::spawn(move || tunnel(client, &asked));
            }
        });
        proxy
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn tunnel(mut client: TcpStream, asked: &Mutex<Vec<String>>) -> Option<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let line = String::from_utf8(head).ok()?.lines().next()?.to_owned();
    asked.lock().unwrap().push(line.clone());
    let address = line.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let mut server = TcpStream::connect(address).ok()?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        to.shutdown(Shutdown::Write)
    });
    std::io::copy(&mut server, &mut client).ok()?;
    client.shutdown(Shutdown::Write).ok()
}

/// A tenant whose space is kept in this store.
async fn tenant<'w>(world: &'w World, store: &OpenBao) -> Tenant<'w> {
    let tenant = Tenant::unbound(world).await;
    let (name, ca) = (tenant.name.clone(), store.ca_pem().unwrap_or_default());
    tenant.apply(&tenant.own(), &format!("token-{name}"), json!({"stringData": {"token": store.root_token()}})).await;
    let own = Api::<ConfigMap>::namespaced(tenant.client.clone(), SYSTEM);
    tenant.apply(&own, &format!("ca-{name}"), json!({"data": {"ca.crt": ca}})).await;
    let mut spec = json!({
        "address": store.url(), "auth": {"tokenSecret": {"name": format!("token-{name}"), "key": "token"}},
    });
    if !ca.is_empty() {
        spec["caBundle"] = json!({"configMap": {"name": format!("ca-{name}"), "key": "ca.crt"}});
    }
    tenant.manager(&name, json!({"openBao": spec})).await;
    tenant.space(json!({"secretManagerRef": {"name": name}})).await;
    store.put(&format!("spaces/{name}"), json!({"A": "1"})).unwrap();
    tenant.sync(json!({})).await;
    tenant.until_secret(&[("A", "1")]).await;
    tenant
}

#[tokio::test]
async fn stores_are_reached_by_the_proxy_that_the_environment_names_and_the_api_server_is_not() {
    let world = World::start(AuditLevel::Metadata);
    let proxy = Proxy::start();
    let address = format!("http://{}", proxy.address);
    let secure = OpenBao::start(OpenBaoOptions { tls: true, ..OpenBaoOptions::default() }).unwrap();
    let environment = [("HTTPS_PROXY", &*address), ("HTTP_PROXY", &address), ("NO_PROXY", "")];
    let mut operator = world.operator(&environment);
    tenant(&world, &secure).await;
    let tunnel = format!("CONNECT {} HTTP/1.1", secure.url().trim_start_matches("https://"));
    let asked = proxy.asked();
    assert!(!asked.is_empty() && asked.iter().all(|line| *line == tunnel), "{asked:?}");
    // A token that is not encrypted is shown to no proxy.
    let plain = OpenBao::start(OpenBaoOptions::default()).unwrap();
    tenant(&world, &plain).await;
    let asked = proxy.asked();
    assert!(asked.iter().all(|line| *line == tunnel), "{asked:?}");
    operator.signal("TERM");
    operator.wait();
    let before = proxy.asked().len();
    let _operator = world.operator(&[("HTTPS_PROXY", &*address), ("NO_PROXY", "127.0.0.1,.svc")]);
    tenant(&world, &secure).await;
    assert_eq!(proxy.asked().len(), before, "what NO_PROXY names is reached directly");
}
