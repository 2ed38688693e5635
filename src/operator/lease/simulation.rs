//! Replicas, an API server and a network on a clock of our own: whatever is slow, lost, stopped or killed, there are
//! never two leaders.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use proptest::prelude::*;

use super::election::{Ask, Election, Failed, TIMING};

/// Milliseconds since the beginning.
type Ms = u64;

const FOREVER: Ms = Ms::MAX;

fn ms(duration: Duration) -> Ms {
    u64::try_from(duration.as_millis()).unwrap()
}

fn wall(at: Ms) -> jiff::Timestamp {
    // Clocks that differ are the rule; here they differ by nothing, since nobody may look at them anyway.
    jiff::Timestamp::from_millisecond(1_700_000_000_000 + i64::try_from(at).unwrap()).unwrap()
}

/// How long the next request is on its way there and back; `FOREVER`: it is lost.
type Network = Box<dyn FnMut(Ms) -> (Ms, Ms)>;

struct Flight {
    replica: usize,
    number: u64,
    ask: Ask,
    arrives: Ms,
    back: Ms,
}

type Served = Result<Option<Lease>, Failed>;

enum Phase {
    Resting(Ms),
    /// Waits for the answer to a request that began then.
    Asking {
        number: u64,
        ask: Ask,
        start: Ms,
        answer: Option<(Ms, Box<Served>)>,
    },
    Dead,
}

struct Replica {
    election: Election,
    phase: Phase,
    /// Until when the process is stopped.
    stopped: Ms,
}

struct World {
    begin: Instant,
    now: Ms,
    lease: Option<Lease>,
    version: u64,
    replicas: Vec<Replica>,
    flights: Vec<Flight>,
    requests: u64,
    network: Network,
    /// Every moment at which somebody became the leader, and who.
    terms: Vec<(Ms, usize)>,
}

impl World {
    fn new(replicas: usize, network: impl FnMut(Ms) -> (Ms, Ms) + 'static) -> Self {
        let mut world = Self {
            begin: Instant::now(),
            now: 0,
            lease: None,
            version: 0,
            replicas: Vec::new(),
            flights: Vec::new(),
            requests: 0,
            network: Box::new(network),
            terms: Vec::new(),
        };
        (0..replicas).for_each(|_| world.join());
        world
    }

    /// Every request takes 5 ms each way.
    fn calm(replicas: usize) -> Self {
        Self::new(replicas, |_| (5, 5))
    }

    fn join(&mut self) {
        let identity = format!("replica-{}", self.replicas.len());
        let election = Election::new(identity, "ns", "spacesync", TIMING, self.instant(self.now));
        self.replicas.push(Replica { election, phase: Phase::Resting(self.now), stopped: 0 });
    }

    fn instant(&self, at: Ms) -> Instant {
        self.begin + Duration::from_millis(at)
    }

    fn leaders(&self) -> Vec<usize> {
        let now = self.instant(self.now);
        let leads = |index: &usize| self.replicas[*index].election.held_until(now).is_some();
        // What is dead writes nothing; what is stopped may go on at any moment.
        (0..self.replicas.len()).filter(leads).filter(|i| !matches!(self.replicas[*i].phase, Phase::Dead)).collect()
    }

    fn kill(&mut self, replica: usize) {
        self.replicas[replica].phase = Phase::Dead;
    }

    fn stop(&mut self, replica: usize, until: Ms) {
        self.replicas[replica].stopped = until;
    }

    fn send(&mut self, replica: usize, ask: Ask) {
        self.requests += 1;
        let (there, back) = (self.network)(self.now);
        let number = self.requests;
        self.flights.push(Flight { replica, number, ask: ask.clone(), arrives: self.now.saturating_add(there), back });
        self.replicas[replica].phase = Phase::Asking { number, ask, start: self.now, answer: None };
    }

    /// What the API server does with a request.
    fn serve(&mut self, ask: &Ask) -> Served {
        let Ask::Write(lease) = ask else { return Ok(self.lease.clone()) };
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        if self.lease.as_ref().and_then(version) != version(lease) {
            return Err(Failed::Moved);
        }
        self.put((**lease).clone());
        Ok(self.lease.clone())
    }

    fn put(&mut self, mut lease: Lease) {
        self.version += 1;
        lease.metadata.resource_version = Some(self.version.to_string());
        self.lease = Some(lease);
    }

    /// When a replica goes on by itself.
    fn wakes(&self, replica: &Replica) -> Ms {
        let at = match &replica.phase {
            Phase::Resting(until) => *until,
            Phase::Asking { start, answer, .. } => {
                let begun = self.instant(*start);
                let left = replica.election.held_until(begun).map_or(TIMING.call, |until| until - begun);
                let gives_up = start + ms(left.min(TIMING.call));
                answer.as_ref().map_or(gives_up, |(at, _)| gives_up.min(*at))
            }
            Phase::Dead => FOREVER,
        };
        at.max(replica.stopped)
    }

    fn run_until(&mut self, end: Ms) {
        loop {
            let arrival = self.flights.iter().map(|flight| flight.arrives).min().unwrap_or(FOREVER);
            let (wakes, who) = self
                .replicas
                .iter()
                .enumerate()
                .map(|(index, replica)| (self.wakes(replica), index))
                .min()
                .unwrap_or((FOREVER, 0));
            if arrival.min(wakes) > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(arrival.min(wakes));
            if arrival <= wakes {
                self.arrive(arrival);
            } else {
                self.wake(who);
            }
            let leaders = self.leaders();
            assert!(leaders.len() <= 1, "{leaders:?} lead at {} ms", self.now);
            if let [leader] = leaders[..]
                && self.terms.last().is_none_or(|(_, last)| *last != leader)
            {
                self.terms.push((self.now, leader));
            }
        }
    }

    fn arrive(&mut self, at: Ms) {
        let index = self.flights.iter().position(|flight| flight.arrives == at).unwrap();
        let flight = self.flights.remove(index);
        let served = self.serve(&flight.ask);
        let answered = self.now.saturating_add(flight.back);
        if let Phase::Asking { number, answer, .. } = &mut self.replicas[flight.replica].phase
            && *number == flight.number
        {
            *answer = Some((answered, Box::new(served)));
        }
    }

    fn wake(&mut self, who: usize) {
        let now = self.instant(self.now);
        let begin = self.begin;
        let replica = &mut self.replicas[who];
        if let Phase::Asking { ask, start, answer, .. } = &replica.phase {
            let answer = answer.clone().filter(|(at, _)| *at <= self.now);
            let answer = answer.map_or(Err(Failed::Unknown), |(_, answer)| *answer);
            let start = begin + Duration::from_millis(*start);
            match ask {
                Ask::Write(_) => replica.election.wrote(start, answer.map(Option::unwrap), now),
                _ => replica.election.read(answer, now),
            }
        }
        match replica.election.ask(now, wall(self.now)) {
            Ask::Rest(until) => replica.phase = Phase::Resting(ms(until - begin)),
            ask => self.send(who, ask),
        }
    }

    fn leader(&self) -> usize {
        self.leaders()[0]
    }
}

const LEASE: Ms = 15_000;
const RETRY: Ms = 2_000;
/// How late a standby sees a renewal, with a read and a write on their way.
const LATE: Ms = 550;

#[test]
fn the_first_replica_leads_at_once_and_goes_on_leading() {
    let mut world = World::calm(3);
    world.run_until(300_000);
    assert_eq!(world.terms.len(), 1);
    assert!(world.terms[0].0 < 100, "{:?}", world.terms);
    let spec = world.lease.clone().unwrap().spec.unwrap();
    assert_eq!((spec.lease_transitions, spec.lease_duration_seconds), (Some(0), Some(15)));
    assert_eq!(spec.acquire_time.unwrap().0, wall(world.terms[0].0 - 10));
}

#[test]
fn a_leader_asks_once_each_retry_period() {
    let mut world = World::calm(1);
    world.run_until(100_000);
    assert!((48..=53).contains(&world.requests), "{}", world.requests);
}

#[test]
fn a_standby_takes_over_within_the_lease_and_half_a_second_when_the_leader_is_killed() {
    for killed_at in (60_000..64_000).step_by(97) {
        // Who looks just before each renewal sees it the latest.
        for joins_at in (10_000..12_000).step_by(131) {
            let mut world = World::calm(1);
            world.run_until(joins_at);
            world.join();
            world.run_until(killed_at);
            world.kill(0);
            world.run_until(killed_at + LEASE + LATE);
            assert_eq!(world.leaders(), [1], "joined at {joins_at}, killed at {killed_at}");
            assert_eq!(world.lease.clone().unwrap().spec.unwrap().lease_transitions, Some(1));
        }
    }
}

#[test]
fn a_standby_takes_over_within_half_a_second_when_the_leader_ends_in_peace() {
    let mut world = World::calm(2);
    world.run_until(60_500);
    let leader = world.leader();
    let released = world.replicas[leader].election.release(wall(world.now)).unwrap();
    world.put(released);
    world.kill(leader);
    world.run_until(60_500 + LATE);
    assert_eq!(world.leaders(), [1 - leader]);
}

#[test]
fn a_leader_that_was_stopped_does_not_write_when_it_goes_on() {
    for stopped_for in [10_000, 14_000, 16_000, 40_000] {
        let mut world = World::calm(2);
        world.run_until(60_000);
        let leader = world.leader();
        world.stop(leader, 60_000 + stopped_for);
        world.run_until(60_000 + stopped_for - 1);
        assert!(!world.leaders().contains(&leader), "stopped for {stopped_for}");
        world.run_until(200_000);
        assert_eq!(world.leaders().len(), 1);
    }
}

#[test]
fn a_slow_api_server_costs_nobody_the_lease() {
    let mut world = World::new(2, |_| (1_900, 1_900));
    world.run_until(600_000);
    assert_eq!(world.terms.len(), 1);
}

#[test]
fn nothing_is_renewed_after_the_deadline() {
    let mut world = World::new(1, |at| if (60_000..90_000).contains(&at) { (FOREVER, 0) } else { (5, 5) });
    world.run_until(60_000);
    assert_eq!(world.leaders(), [0]);
    let renewed = world.lease.clone();
    world.run_until(60_000 + ms(TIMING.renew_deadline));
    assert_eq!(world.leaders(), [0; 0]);
    assert_eq!(world.lease, renewed);
    // And it leads again, by a lease that it still has.
    world.run_until(96_000);
    assert_eq!(world.leaders(), [0]);
}

#[test]
fn a_short_outage_costs_nobody_the_lease() {
    let mut world = World::new(2, |at| if (60_000..64_000).contains(&at) { (FOREVER, 0) } else { (5, 5) });
    world.run_until(200_000);
    assert_eq!(world.terms.len(), 1);
}

#[test]
fn a_renewal_of_which_only_the_answer_was_lost_is_no_loss() {
    let mut world = World::new(2, |at| if (60_000..63_000).contains(&at) { (5, FOREVER) } else { (5, 5) });
    world.run_until(200_000);
    assert_eq!(world.terms.len(), 1);
}

#[test]
fn a_lease_that_somebody_deletes_is_no_resignation_of_its_holder() {
    let mut world = World::calm(2);
    world.run_until(60_000);
    let leader = world.leader();
    world.stop(leader, 66_000);
    world.lease = None;
    world.run_until(65_999);
    assert_eq!(world.leaders(), [leader]);
    world.run_until(70_000);
    assert_eq!((world.terms.len(), world.lease.is_some()), (1, true));
}

#[test]
fn a_label_on_the_lease_is_no_renewal() {
    let mut world = World::calm(2);
    world.run_until(60_000);
    let leader = world.leader();
    world.kill(leader);
    for second in 61..80 {
        world.run_until(second * 1_000);
        let mut lease = world.lease.clone().unwrap();
        lease.metadata.labels.get_or_insert_default().insert("at".into(), second.to_string());
        world.put(lease);
    }
    assert_eq!(world.leaders(), [1 - leader]);
}

#[test]
fn a_leader_that_reads_another_name_in_the_lease_gives_up_at_once() {
    let mut world = World::calm(2);
    world.run_until(60_000);
    let leader = world.leader();
    let mut lease = world.lease.clone().unwrap();
    lease.spec.as_mut().unwrap().holder_identity = Some(format!("replica-{}", 1 - leader));
    world.put(lease);
    world.run_until(60_000 + RETRY + 50);
    assert_eq!(world.leaders(), [1 - leader]);
}

#[test]
fn a_clock_that_is_an_hour_off_changes_nothing() {
    let mut world = World::calm(2);
    world.run_until(60_000);
    let leader = world.leader();
    world.kill(leader);
    let mut lease = world.lease.clone().unwrap();
    let spec = lease.spec.as_mut().unwrap();
    spec.renew_time.as_mut().unwrap().0 += jiff::SignedDuration::from_hours(1);
    world.put(lease);
    world.run_until(60_000 + LEASE + LATE);
    assert_eq!(world.leaders(), [1 - leader]);
}

/// A network that is mostly fast, sometimes slow, and loses things, by a small generator of its own.
fn rough(seed: u64) -> impl FnMut(Ms) -> (Ms, Ms) {
    let mut dice = Dice(seed | 1);
    let mut way = move || match dice.roll(20) {
        0..=13 => 1 + dice.roll(40),
        14..=16 => dice.roll(5_000),
        17 => dice.roll(30_000),
        _ => FOREVER,
    };
    move |_| (way(), way())
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

proptest! {
    #[test]
    fn there_are_never_two_leaders_and_one_in_the_end(seed in any::<u64>(), replicas in 2..5_usize) {
        let mut dice = Dice(seed);
        let mut network = rough(seed);
        // A replica that is new just when somebody deletes the lease cannot know that there was one, and one that was
        // away cannot know that there was another between two deletions.
        let (joins, mut deletes) = if seed % 2 == 0 { (true, false) } else { (false, true) };
        let mut world = World::new(replicas, move |at| if at < 300_000 { network(at) } else { (5, 5) });
        let mut at = 0;
        while at < 300_000 {
            at += 500 + dice.roll(15_000);
            world.run_until(at);
            let who = usize::try_from(dice.roll(replicas as u64)).unwrap();
            match dice.roll(6) {
                0 => world.stop(who, at + dice.roll(40_000)),
                1 if joins && world.replicas.len() < 8 => { world.kill(who); world.join(); }
                2 if deletes && at > 100_000 => (world.lease, deletes) = (None, false),
                _ => {}
            }
        }
        // What was sent before may still arrive, and everybody goes on.
        world.run_until(400_000);
        prop_assert_eq!(world.leaders().len(), 1);
    }
}
