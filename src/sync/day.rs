//! A day of ten thousand syncs, simulated: how many requests a second their store gets, whatever happens on that day.
//!
//! `PICTURES=1 cargo test --lib sync::day` draws it anew (docs/scheduling.svg).

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use jiff::Timestamp;

use super::{
    rhythm::{Rhythm, Wish, Wishes},
    schedule::Phase,
};
use crate::{
    resources::AutoSync,
    store::openbao::{Limits, PAGE},
};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: usize = 86_400;

/// What happens on that day, in hours of the machine's true time.
#[derive(Clone, Copy)]
enum Event {
    /// A new leader begins with nothing in memory.
    Restart,
    /// The store answers nobody for so long.
    Outage(Duration),
    /// The machine sleeps for so long.
    Sleep(Duration),
    /// The clock is set by so many milliseconds.
    Clock(i64),
}

const EVENTS: [(i64, Event, &str); 6] = [
    (4, Event::Restart, "restart"),
    (7, Event::Outage(Duration::from_mins(30)), "store away, 30 min"),
    (11, Event::Sleep(Duration::from_mins(90)), "machine asleep, 90 min"),
    (15, Event::Clock(-HOUR - 17 * SECOND), "clock set back 1 h"),
    (18, Event::Clock(HOUR + 17 * SECOND), "clock set on 1 h"),
    (21, Event::Restart, "restart"),
];

/// Of ten syncs six are Live, one each checks every minute, 30 minutes and day, and one only when it is asked to.
const SCHEDULES: [AutoSync; 10] = [
    AutoSync::Live,
    AutoSync::Live,
    AutoSync::Live,
    AutoSync::Live,
    AutoSync::Live,
    AutoSync::Live,
    AutoSync::Every1m,
    AutoSync::Every30m,
    AutoSync::Every24h,
    AutoSync::Manual,
];

fn schedule_of(n: usize) -> AutoSync {
    SCHEDULES[n % SCHEDULES.len()]
}

fn wishes(count: u32, bulk: bool) -> Wishes {
    let uid = |n: u32| format!("{:08x}-1b2c-4d5e-8f90-{n:012x}", n.wrapping_mul(2_654_435_761));
    let wish = |n: u32| Wish {
        phase: Phase::of(&if bulk { uid(0) } else { uid(n) }),
        schedules: vec![schedule_of(usize::try_from(n).unwrap())],
    };
    (0..count).map(wish).collect()
}

/// How many requests tell the heads of so many entries.
fn pages(count: u32) -> usize {
    usize::try_from(count).unwrap().div_ceil(PAGE)
}

/// How fast a store may be asked, as `limits` of a SecretManager say.
struct Pace {
    interval: i64,
    burst: i64,
    next: i64,
}

impl Pace {
    fn of(limits: &Limits) -> Self {
        let interval = SECOND / i64::from(limits.per_second);
        Self { interval, burst: interval * i64::from(limits.concurrency - 1), next: 0 }
    }

    /// When the next request goes.
    fn take(&mut self, now: i64) -> i64 {
        let at = now.max(self.next - self.burst);
        self.next = self.next.max(now) + self.interval;
        at
    }
}

struct Day {
    /// How many requests each second sends.
    requests: Vec<u32>,
    /// The longest that a Live sync went without a look, in milliseconds, the store's and the machine's own pauses apart.
    longest: i64,
}

fn simulate(count: u32, bulk: bool, limits: &Limits) -> Day {
    let mut pace = Pace::of(limits);
    let wishes = wishes(count, bulk);
    let midnight: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
    let mut events: BTreeMap<i64, Event> = EVENTS.into_iter().map(|(hour, event, _)| (hour * HOUR, event)).collect();
    let (mut requests, mut longest) = (vec![0; DAY], 0);
    let mut last_look = vec![0; usize::try_from(count).unwrap()];
    let (mut rhythm, mut now, mut clock, mut away_until) = (Rhythm::default(), 0, 0, 0);
    while now < i64::try_from(DAY).unwrap() * SECOND {
        while let Some(event) = events.first_entry().filter(|event| *event.key() <= now) {
            match event.remove() {
                Event::Restart => rhythm = Rhythm::default(),
                Event::Outage(lasts) => away_until = now + i64::try_from(lasts.as_millis()).unwrap(),
                Event::Sleep(lasts) => {
                    let lasts = i64::try_from(lasts.as_millis()).unwrap();
                    now += lasts;
                    for last in &mut last_look {
                        *last += lasts;
                    }
                }
                Event::Clock(by) => clock += by,
            }
        }
        let told = Timestamp::from_millisecond(midnight.as_millisecond() + now + clock).unwrap();
        let due = rhythm.due(bulk, &wishes, told);
        let answers = now >= away_until;
        let sent = match due.len() {
            0 => 0,
            // A folder is listed whole, whoever is due.
            _ if bulk => pages(count),
            due if answers => due,
            due => due.min(16),
        };
        let mut sent_at = Vec::with_capacity(sent);
        for _ in 0..sent {
            now = pace.take(now);
            sent_at.push(now);
            if let Some(second) = requests.get_mut(usize::try_from(now / SECOND).unwrap()) {
                *second += 1;
            }
        }
        // As of when it began: what became due meanwhile is due next.
        rhythm.looked(answers || due.is_empty(), bulk, told);
        if !answers {
            last_look.fill(now);
        }
        for (place, at) in due.into_iter().enumerate() {
            let looked = sent_at.get(place).copied().unwrap_or(now);
            if schedule_of(at) == AutoSync::Live {
                longest = longest.max(looked - last_look[at]);
            }
            last_look[at] = looked;
        }
        let told = Timestamp::from_millisecond(midnight.as_millisecond() + now + clock).unwrap();
        now += i64::try_from(rhythm.wait(bulk, &wishes, told).as_millis()).unwrap().max(1);
    }
    Day { requests, longest }
}

/// As a look at every full minute would do it.
fn by_the_clock(count: u32) -> u32 {
    let every_minute = SCHEDULES.iter().filter(|of| matches!(of, AutoSync::Live | AutoSync::Every1m)).count();
    count / 10 * u32::try_from(every_minute).unwrap()
}

/// Limits that are never met: what comes then comes of the phases alone.
fn unlimited() -> Limits {
    Limits { per_second: 1_000, concurrency: 1_000, ..Limits::default() }
}

#[test]
fn ten_thousand_syncs_never_come_as_a_herd() {
    let day = simulate(10_000, false, &unlimited());
    let (total, most) = (day.requests.iter().sum::<u32>(), *day.requests.iter().max().unwrap());
    let mean = f64::from(total) / 86_400.0;
    println!("one by one: {total} requests, {mean:.0} a second, at most {most}; by the clock {}", by_the_clock(10_000));
    assert!((100.0..130.0).contains(&mean), "7,000 a minute, less the pauses: {mean}");
    assert!(most < 260, "{most} in one second");
    assert!(day.longest <= 121 * SECOND, "{} ms without a look", day.longest);
    if std::env::var_os("PICTURES").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scheduling.svg");
        let limits = Limits::default();
        let picture = picture(&day, &simulate(10_000, false, &limits), &simulate(10_000, true, &limits));
        std::fs::write(path, picture).unwrap();
    }
}

#[test]
fn where_limits_allow_less_than_is_due_all_are_looked_at_a_little_later() {
    let limits = Limits::default();
    let day = simulate(10_000, false, &limits);
    let (total, most) = (day.requests.iter().sum::<u32>(), *day.requests.iter().max().unwrap());
    println!(
        "at most {} a second: {total} requests, at most {most}, {} ms without a look",
        limits.per_second, day.longest
    );
    assert!(most <= limits.per_second + limits.concurrency, "{most} in one second");
    // 7,000 a minute are due and 6,000 allowed: a round takes 70 s, and one may come first in it and last in the next.
    assert!(day.longest <= 180 * SECOND, "{} ms without a look", day.longest);
}

#[test]
fn in_bulk_a_day_costs_a_few_requests_a_minute() {
    let day = simulate(10_000, true, &Limits::default());
    let (total, most) = (day.requests.iter().sum::<u32>(), *day.requests.iter().max().unwrap());
    println!("in bulk: {total} requests, at most {most} in a second");
    let pages = u32::try_from(pages(10_000)).unwrap();
    assert!((1_200..1_500).contains(&(total / pages)), "{pages} pages a minute, less the pauses: {total}");
    assert!(most <= 2 * pages, "{most} in one second");
    assert!(day.longest <= 121 * SECOND, "{} ms without a look", day.longest);
}

/// The days, one above the other.
fn picture(one_by_one: &Day, limited: &Day, bulk: &Day) -> String {
    let mut svg = String::from(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 660" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
<text x="60" y="20" font-size="14">10,000 syncs over a day: requests a second to their store (each minute's most, and its mean)</text>
"##,
    );
    panel(&mut svg, 50, "a request an entry, without limits", one_by_one, 250);
    let per_second = Limits::default().per_second;
    panel(&mut svg, 250, &format!("a request an entry, limits.perSecond {per_second} as by default"), limited, 250);
    let pages = u32::try_from(pages(10_000)).unwrap();
    panel(&mut svg, 450, &format!("in bulk, {pages} requests for all entries"), bulk, 2 * pages);
    for (hour, _, label) in EVENTS {
        let x = 60 + hour * 30;
        writeln!(svg, r##"<path d="M{x} 50V610" stroke="#c33" stroke-dasharray="3 3"/>"##).unwrap();
        writeln!(svg, r##"<text transform="translate({} 608) rotate(-90)" fill="#c33">{label}</text>"##, x - 3)
            .unwrap();
    }
    for hour in (0..=24).step_by(3) {
        writeln!(svg, r#"<text x="{}" y="626" text-anchor="middle">{hour}:00</text>"#, 60 + hour * 30).unwrap();
    }
    let herd = by_the_clock(10_000);
    writeln!(svg, r#"<text x="60" y="650">Looked at on the full minute, the first day would have {herd} requests in one second of each minute.</text>"#)
        .unwrap();
    svg + "</svg>\n"
}

fn panel(svg: &mut String, top: u32, title: &str, day: &Day, scale: u32) {
    let height = 160;
    writeln!(svg, r#"<text x="66" y="{}">{title}</text>"#, top + 12).unwrap();
    for step in [0, scale / 2, scale] {
        let y = top + height - step * height / scale;
        writeln!(
            svg,
            r##"<path d="M60 {y}H780" stroke="#ddd"/><text x="54" y="{}" text-anchor="end">{step}</text>"##,
            y + 4
        )
        .unwrap();
    }
    let mut line = |of: &dyn Fn(&[u32]) -> f64, color: &str| {
        write!(svg, r#"<polyline fill="none" stroke="{color}" points=""#).unwrap();
        for (at, minute) in (0_u32..).zip(day.requests.chunks(60)) {
            let (x, y) = (f64::from(at) / 2.0, of(minute) / f64::from(scale) * f64::from(height));
            write!(svg, "{:.1},{:.1} ", 60.0 + x, f64::from(top + height) - y).unwrap();
        }
        writeln!(svg, r#""/>"#).unwrap();
    };
    line(&|minute| f64::from(minute.iter().copied().max().unwrap_or_default()), "#8ab");
    line(&|minute| f64::from(minute.iter().sum::<u32>()) / 60.0, "#036");
}
