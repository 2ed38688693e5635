//! `kill -9` after each single write: whoever goes on ends where one that was never killed does.

mod proxy;
mod scenario;
mod state;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use devcluster::AuditLevel;
use futures::FutureExt;
use tokio::task::JoinSet;

use self::{
    proxy::{Trap, When},
    state::Standing,
};
use crate::{
    tenant::Tenant,
    world::{Operator, World},
};

/// Worlds at once. A run mostly waits; but other tests run beside.
const WORLDS: usize = 4;

/// A world, the trap in it, and whichever operator runs there now.
struct Stage {
    world: Arc<World>,
    trap: Trap,
    operator: tokio::sync::Mutex<Operator>,
    /// How many were started for one that was killed.
    started: AtomicUsize,
}

fn operator(world: &World, trap: &Trap) -> Operator {
    let kubeconfig = trap.kubeconfig.to_string_lossy().into_owned();
    let operator = world.operator(&[("KUBECONFIG", &kubeconfig)]);
    trap.aim(operator.pid());
    operator
}

impl Stage {
    async fn raise() -> Self {
        let world = tokio::task::spawn_blocking(|| World::start(AuditLevel::Metadata)).await.expect("a world");
        let trap = Trap::start(&world).await;
        let world = Arc::new(world);
        let operator = tokio::task::block_in_place(|| operator(&world, &trap));
        Self { world, trap, operator: tokio::sync::Mutex::new(operator), started: AtomicUsize::new(0) }
    }

    /// Lets the next operator start whenever one was killed. Never ends.
    async fn supervise(&self) {
        loop {
            self.trap.until_killed(self.started.load(Ordering::Relaxed)).await;
            self.start_next().await;
        }
    }

    async fn start_next(&self) {
        let mut last = self.operator.lock().await;
        last.kill();
        self.world.forget_lease().await;
        *last = tokio::task::block_in_place(|| operator(&self.world, &self.trap));
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    /// Plays the scenario, and gives how everything stands in the end and what was written for it. With an `expected`
    /// end it waits until that is reached.
    async fn play(&self, at: Option<(usize, When)>, expected: Option<&Standing>) -> (Standing, Vec<String>) {
        let tenant = Tenant::unbound(&self.world).await;
        let started = self.started.load(Ordering::Relaxed);
        self.trap.set(&tenant.name, at);
        let standing = tokio::select! {
            standing = scenario::play(&tenant, expected) => standing,
            () = self.supervise() => unreachable!("it never ends"),
        };
        let writes = self.trap.writes();
        // The end may have been reached without whoever was killed last: the next case needs an operator.
        if at.is_some_and(|(k, _)| writes.len() >= k) && self.started.load(Ordering::Relaxed) == started {
            self.trap.until_killed(started).await;
            self.start_next().await;
        }
        self.trap.set("", None);
        scenario::clear(&tenant).await;
        (standing, writes)
    }
}

/// Every write, by turns in one way and the other. `SPACESYNC_KILLS` may say `all`, for both ways of each, which takes
/// twice as long, or the number of one.
fn cases(writes: usize) -> impl Iterator<Item = (usize, When)> {
    let wanted = std::env::var("SPACESYNC_KILLS").unwrap_or_default();
    let both = (1..=writes).flat_map(|k| [(k, When::Unanswered), (k, When::Answered)]);
    both.filter(move |(k, when)| match wanted.as_str() {
        "" => (k % 2 == 0) == (*when == When::Answered),
        "all" => true,
        one => one.parse() == Ok(*k),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_after_any_write_is_succeeded_by_one_that_ends_in_the_same_state() {
    let began = Instant::now();
    let first = Stage::raise().await;
    let (expected, writes) = first.play(None, None).await;
    println!("{} writes without a kill, {:?}:\n{}", writes.len(), began.elapsed(), writes.join("\n"));
    assert!(writes.len() >= 15, "the scenario writes what it is to write: {writes:#?}");
    // Itself the first case: what differs between two runs that nobody disturbs is no state.
    let cases = Arc::new(std::iter::once(None).chain(cases(writes.len()).map(Some)).collect::<Vec<_>>());
    let (next, expected) = (Arc::new(AtomicUsize::new(0)), Arc::new(expected));
    let failed = Arc::<Mutex<BTreeMap<_, String>>>::default();
    let mut workers = JoinSet::new();
    for stage in std::iter::once(Some(first)).chain((1..WORLDS).map(|_| None)) {
        let (next, cases, expected, failed) = (next.clone(), cases.clone(), expected.clone(), failed.clone());
        workers.spawn(async move {
            let stage = match stage {
                Some(stage) => stage,
                None => Stage::raise().await,
            };
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                let began = Instant::now();
                let played = AssertUnwindSafe(stage.play(*case, Some(&expected))).catch_unwind().await;
                let Ok((standing, writes)) = played else {
                    println!("{case:?} came to no end; {}", stage.operator.lock().await.log());
                    failed.lock().unwrap().insert(*case, "came to no end".to_owned());
                    return;
                };
                let same = standing == *expected;
                let what = case.and_then(|(k, _)| writes.get(k - 1)).map_or("nothing", String::as_str);
                println!("{case:?} {what}: {} writes, {:?}, the same: {same}", writes.len(), began.elapsed());
                if !same {
                    let difference = standing.differs_from(&expected);
                    println!("{difference}\n{}", writes.join("\n"));
                    failed.lock().unwrap().insert(*case, difference);
                }
            }
        });
    }
    workers.join_all().await;
    println!("{} runs in {WORLDS} worlds, {:?}", cases.len(), began.elapsed());
    let failed = failed.lock().unwrap();
    assert!(failed.is_empty(), "{} of {} ended elsewhere: {:?}", failed.len(), cases.len(), failed.keys());
}

/// How long the end may take to be reached after the last step.
const END: Duration = Duration::from_secs(15);
