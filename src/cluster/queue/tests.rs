//! Who is looked at when.

use super::*;

fn open() -> Queue<&'static str> {
    let queue = Queue::default();
    queue.lock().begin();
    queue
}

#[tokio::test(start_paused = true)]
async fn urgent_keys_go_ahead_of_scheduled_ones() {
    let queue = open();
    queue.add("schedule", Lane::Normal);
    queue.add("request", Lane::Urgent);
    assert_eq!(queue.next(1).await.0, "request");
    assert_eq!(queue.next(1).await.0, "schedule");
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_key_that_becomes_urgent_changes_lanes() {
    let queue = open();
    queue.add("a", Lane::Normal);
    queue.add("b", Lane::Normal);
    queue.lock().ripen(Instant::now());
    queue.add("b", Lane::Urgent);
    assert_eq!(queue.next(1).await, ("b", Lane::Urgent));
    assert_eq!(queue.next(1).await, ("a", Lane::Normal));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_never_looked_at_twice_at_once_and_no_wish_is_lost() {
    let queue = open();
    queue.add("a", Lane::Normal);
    queue.add("a", Lane::Normal);
    let (key, _) = queue.next(1).await;
    queue.add("a", Lane::Urgent);
    assert!(tokio::time::timeout(Duration::from_secs(9), queue.next(1)).await.is_err());
    queue.done(&key, Next::OnChange, 1);
    assert_eq!(queue.next(1).await, ("a", Lane::Urgent));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_wish_wins() {
    let queue = open();
    let start = Instant::now();
    queue.add_after("a", Lane::Normal, Duration::from_mins(1));
    queue.add_after("a", Lane::Normal, Duration::from_secs(2));
    queue.next(1).await;
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_and_a_success_forgets_them() {
    let queue = open();
    let retry = Next::Failed(Retry::Backoff(Duration::from_secs(1), Duration::from_secs(10)));
    let mut waits = Vec::new();
    queue.add("a", Lane::Normal);
    for next in [retry, retry, retry, retry, retry, Next::After(Duration::from_mins(1)), retry] {
        let start = Instant::now();
        let (key, _) = queue.next(1).await;
        waits.push(start.elapsed().as_secs_f64());
        queue.done(&key, next, 1);
        assert_eq!(queue.tries_again(&key), next == retry);
    }
    let start = Instant::now();
    queue.next(1).await;
    waits.push(start.elapsed().as_secs_f64());
    let floors = [0.0, 1.0, 2.0, 4.0, 8.0, 10.0, 60.0, 1.0];
    for (wait, floor) in waits.iter().zip(floors) {
        assert!((floor..=floor * 1.21 + 0.01).contains(wait), "{waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_many_went_through_keeps_no_room_for_them() {
    let queue = Queue::default();
    queue.lock().begin();
    (0..10_000).for_each(|key| queue.add(key, Lane::Normal));
    for _ in 0..10_000 {
        let (key, _) = queue.next(1).await;
        queue.done(&key, Next::OnChange, 1);
    }
    let inner = queue.lock();
    assert!(inner.states.capacity() < CALM && inner.lanes.iter().all(|lane| lane.capacity() < CALM));
}

#[tokio::test(start_paused = true)]
async fn a_closed_queue_takes_nothing_in() {
    let queue: Queue<&str> = Queue::default();
    queue.add("a", Lane::Urgent);
    assert_eq!(queue.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_run_does_nothing_to_the_next() {
    let queue = Arc::new(Queue::default());
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let hold = Arc::new(Notify::new());
    let run = |first: &'static str| {
        let (sender, hold) = (sender.clone(), hold.clone());
        queue.clone().run(1, [first], move |key, _| {
            let (sender, hold) = (sender.clone(), hold.clone());
            async move {
                sender.send(key).unwrap();
                hold.notified().await;
                Next::OnChange
            }
        })
    };
    let mut old = Box::pin(run("a"));
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut old).await.is_err());
    assert_eq!(seen.recv().await, Some("a"));
    // The next begins before the first is dropped, as where a lease comes back at once.
    let new = tokio::spawn(run("a"));
    assert_eq!(seen.recv().await, Some("a"));
    queue.add("a", Lane::Normal);
    drop(old);
    queue.add("b", Lane::Normal);
    assert_eq!(queue.depth(), 1, "the wish for b is still ahead");
    let mut after = Vec::new();
    for _ in 0..2 {
        hold.notify_one();
        after.push(tokio::time::timeout(Duration::from_secs(1), seen.recv()).await.ok().flatten());
    }
    after.sort();
    assert_eq!(after, [Some("a"), Some("b")]);
    new.abort();
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_neither_the_key_nor_the_worker() {
    let queue = Arc::new(Queue::default());
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let run = tokio::spawn(queue.clone().run(1, ["a"], move |key, _| {
        let sender = sender.clone();
        async move {
            sender.send(key).unwrap();
            panic!("planted");
        }
    }));
    assert_eq!(seen.recv().await, Some("a"));
    assert_eq!(seen.recv().await, Some("a"));
    run.abort();
}
