//! A day of ten thousand syncs, simulated: how many requests a second their store gets, whatever happens on that day.
//!
//! `PICTURES=1 cargo test --lib sync::day` draws it anew (docs/scheduling.svg).

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use jiff::Timestamp;

use super::{
    rhythm::{Rhythm, Wish, Wishes},
    schedule::Phase,
};
use crate::{resources::AutoSync, store::openbao::PAGE};

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

struct Day {
    /// How many requests each second sends.
    requests: Vec<u32>,
    /// The longest that a Live sync went without a look, in milliseconds, the store's and the machine's own pauses apart.
    longest: i64,
}

fn simulate(count: u32, bulk: bool) -> Day {
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
        requests[usize::try_from(now / SECOND).unwrap()] += u32::try_from(sent).unwrap();
        rhythm.looked(answers || due.is_empty(), bulk, told);
        if !answers {
            last_look.fill(now);
        }
        for at in due {
            if schedule_of(at) == AutoSync::Live {
                longest = longest.max(now - last_look[at]);
            }
            last_look[at] = now;
        }
        now += i64::try_from(rhythm.wait(bulk, &wishes, told).as_millis()).unwrap().max(1);
    }
    Day { requests, longest }
}

/// As a look at every full minute would do it.
fn by_the_clock(count: u32) -> u32 {
    let every_minute = SCHEDULES.iter().filter(|of| matches!(of, AutoSync::Live | AutoSync::Every1m)).count();
    count / 10 * u32::try_from(every_minute).unwrap()
}

#[test]
fn ten_thousand_syncs_never_come_as_a_herd() {
    let day = simulate(10_000, false);
    let (total, most) = (day.requests.iter().sum::<u32>(), *day.requests.iter().max().unwrap());
    let mean = f64::from(total) / 86_400.0;
    println!("one by one: {total} requests, {mean:.0} a second, at most {most}; by the clock {}", by_the_clock(10_000));
    assert!((100.0..130.0).contains(&mean), "7,000 a minute, less the pauses: {mean}");
    assert!(most < 260, "{most} in one second");
    assert!(day.longest <= 121 * SECOND, "{} ms without a look", day.longest);
    if std::env::var_os("PICTURES").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scheduling.svg");
        std::fs::write(path, picture(&day, &simulate(10_000, true))).unwrap();
    }
}

#[test]
fn in_bulk_a_day_costs_a_few_requests_a_minute() {
    let day = simulate(10_000, true);
    let (total, most) = (day.requests.iter().sum::<u32>(), *day.requests.iter().max().unwrap());
    println!("in bulk: {total} requests, at most {most} in a second");
    let pages = u32::try_from(pages(10_000)).unwrap();
    assert!((1_200..1_500).contains(&(total / pages)), "{pages} pages a minute, less the pauses: {total}");
    assert!(most <= 2 * pages, "{most} in one second");
    assert!(day.longest <= 121 * SECOND, "{} ms without a look", day.longest);
}

/// Both days, one above the other.
fn picture(one_by_one: &Day, bulk: &Day) -> String {
    let mut svg = String::from(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 460" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#fff"/>
<text x="60" y="20" font-size="14">10,000 syncs over a day: requests a second to their store (each minute's most, and its mean)</text>
"##,
    );
    panel(&mut svg, 50, "a request an entry", one_by_one, 250);
    let pages = u32::try_from(pages(10_000)).unwrap();
    panel(&mut svg, 250, &format!("in bulk, {pages} requests for all entries"), bulk, 2 * pages);
    for (hour, _, label) in EVENTS {
        let x = 60 + hour * 30;
        writeln!(svg, r##"<path d="M{x} 50V410" stroke="#c33" stroke-dasharray="3 3"/>"##).unwrap();
        writeln!(svg, r##"<text transform="translate({} 408) rotate(-90)" fill="#c33">{label}</text>"##, x - 3)
            .unwrap();
    }
    for hour in (0..=24).step_by(3) {
        writeln!(svg, r#"<text x="{}" y="426" text-anchor="middle">{hour}:00</text>"#, 60 + hour * 30).unwrap();
    }
    let herd = by_the_clock(10_000);
    writeln!(svg, r#"<text x="60" y="450">Looked at on the full minute, the upper day would have {herd} requests in one second of each minute.</text>"#)
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
