//! The executor on a loader that is only a clock, a timer and a list of what was asked.

extern crate std;

use core::task::{self, Poll};
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Waker;
use std::vec::Vec;
use std::{thread_local, vec};

use super::{Current, EventClient, Storage, Task, TaskContext, end_call, future_room, poll};
use crate::context::{Context, Services};

const TIMER: u32 = 3;
const STOP: u32 = 5;
const PRICE: u32 = 0;
const TRADE: u32 = 63;

/// The loader of a test's thread.
struct Loader {
    now: Cell<u64>,
    /// The time at which the timer is due.
    timer: Cell<Option<u64>>,
    pending: Cell<u64>,
    calls: Calls,
    /// Whether calls get no answer.
    is_gone: Cell<bool>,
}

/// The numbers of calls by their methods.
#[derive(Default)]
struct Calls {
    after: Cell<u32>,
    now: Cell<u32>,
    notified: RefCell<Vec<u32>>,
}

thread_local! {
    static LOADER: Loader = const {
        Loader {
            now: Cell::new(1_000_000),
            timer: Cell::new(Some(0)),
            pending: Cell::new(0),
            calls: Calls { after: Cell::new(0), now: Cell::new(0), notified: RefCell::new(Vec::new()) },
            is_gone: Cell::new(false),
        }
    };
    static LOG: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

fn say(line: &'static str) {
    LOG.with_borrow_mut(|log| log.push(line));
}

fn log() -> Vec<&'static str> {
    LOG.take()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gone;

/// A client of the loader.
#[derive(Clone, Copy)]
struct Client;

impl EventClient for Client {
    type Error = Gone;

    fn after(&mut self, event: u32, microseconds: u64) -> Result<(), Gone> {
        assert_eq!(event, TIMER);
        LOADER.with(|loader| {
            loader.calls.after.set(loader.calls.after.get() + 1);
            loader.timer.set(Some(loader.now.get().saturating_add(microseconds)));
            if loader.is_gone.get() { Err(Gone) } else { Ok(()) }
        })
    }

    fn notify(&mut self, notification: u32) -> Result<u32, Gone> {
        LOADER.with(|loader| {
            loader.calls.notified.borrow_mut().push(notification);
            if notification < 64 { Ok(2) } else { Err(Gone) }
        })
    }

    fn now(&mut self) -> Result<u64, Gone> {
        LOADER.with(|loader| {
            loader.calls.now.set(loader.calls.now.get() + 1);
            if loader.is_gone.get() { Err(Gone) } else { Ok(loader.now.get()) }
        })
    }
}

/// The traces of a poll: the result, and the word in the output.
type Polled = (i32, u64);

const WAITS: fn(&[u32]) -> Polled = |events| (0, events.iter().fold(0, |mask, event| mask | 1 << event));

fn ended(result: i32) -> Polled {
    (1, i64::from(result) as u64)
}

/// Makes a type `Of` of a task, with data of its own, and a function `poll_it` that polls it for some events.
macro_rules! task {
    ($main:expr) => {
        static CURRENT: Current<u32> = Current::new();
        static TASK: Storage<{ future_room::<Of, _>($main) }> = Storage::new();

        #[derive(Clone, Copy)]
        struct Of;

        impl Task for Of {
            const TIMER: u32 = TIMER;
            const STOP: u32 = STOP;
            type State = u32;
            type Imports<'call> = Client;
            type Events<'call> = Client;
            type Error = Gone;

            fn current() -> &'static Current<u32> {
                &CURRENT
            }

            fn imports<'call>(_: &Context<'call>) -> Client {
                Client
            }

            fn events<'call>(_: &Context<'call>) -> Client {
                Client
            }
        }

        #[allow(dead_code)]
        fn poll_with(state: &mut u32, input: &[u8]) -> Polled {
            let mut output = [0; 8];
            let mut context = Context::new(&Services::NONE, input, &mut output);
            // SAFETY: the only call for this place; the test's thread makes one at a time.
            let result = unsafe { poll::<Of, _, _>(&TASK, $main, &mut context, state) };
            end_call::<Of>(&context);
            assert_eq!(context.output_length(), 8);
            (result, u64::from_le_bytes(output))
        }

        /// Polls the task for what is due.
        #[allow(dead_code)]
        fn poll_it() -> Polled {
            poll_with(&mut 0, &take_due().to_le_bytes())
        }
    };
}

/// Takes the events that are due.
fn take_due() -> u64 {
    LOADER.with(|loader| {
        let is_due = loader.timer.get().is_some_and(|time| time <= loader.now.get());
        if is_due {
            loader.timer.set(None);
        }
        loader.pending.take() | u64::from(is_due) << TIMER
    })
}

fn pass(microseconds: u64) {
    LOADER.with(|loader| loader.now.set(loader.now.get() + microseconds));
}

/// Returns the microseconds until the timer is due.
fn timer() -> Option<u64> {
    LOADER.with(|loader| loader.timer.get().map(|time| time.saturating_sub(loader.now.get())))
}

fn publish(event: u32) {
    LOADER.with(|loader| loader.pending.set(loader.pending.get() | 1 << event));
}

/// Returns the numbers of calls of `after` and `now` since the last look.
fn calls() -> (u32, u32) {
    LOADER.with(|loader| (loader.calls.after.take(), loader.calls.now.take()))
}

struct Dropped(&'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        say(self.0);
    }
}

/// Polls two futures, the first one first, until one is done. Returns whether that is the first.
async fn either(first: impl Future, second: impl Future) -> bool {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|context| {
        if first.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        second.as_mut().poll(context).map(|_| false)
    })
    .await
}

/// Polls two futures until both are done.
async fn both(first: impl Future<Output = ()>, second: impl Future<Output = ()>) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let mut done = (false, false);
    poll_fn(|context| {
        done.0 = done.0 || first.as_mut().poll(context).is_ready();
        done.1 = done.1 || second.as_mut().poll(context).is_ready();
        if done == (true, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn ends_at_once_and_is_not_polled_again() {
    async fn main(_: TaskContext<Of>) -> i32 {
        say("runs");
        -7
    }
    task!(main);
    assert_eq!(poll_it(), ended(-7));
    for _ in 0..3 {
        assert_eq!(poll_it(), ended(0));
    }
    assert_eq!((log(), calls(), timer()), (vec!["runs"], (0, 0), None));
}

#[test]
fn sleeps_as_long_as_asked() {
    async fn main(cx: TaskContext<Of>) {
        cx.sleep(500).await;
        say("500");
        cx.sleep(0).await;
        say("0");
        cx.sleep(200).await;
    }
    task!(main);
    assert_eq!(poll_it(), WAITS(&[TIMER]));
    assert_eq!((timer(), calls()), (Some(500), (1, 1)));
    pass(499);
    // Polled for nothing, it asks for nothing.
    assert_eq!((poll_it(), timer(), calls()), (WAITS(&[TIMER]), Some(1), (0, 0)));
    pass(1);
    assert_eq!((poll_it(), log(), timer()), (WAITS(&[TIMER]), vec!["500", "0"], Some(200)));
    pass(1000);
    assert_eq!((poll_it(), timer()), (ended(0), None));
}

#[test]
fn a_timer_that_is_early_is_armed_anew() {
    async fn main(cx: TaskContext<Of>) {
        cx.sleep(500).await;
    }
    task!(main);
    poll_it();
    pass(200);
    assert_eq!(poll_with(&mut 0, &(1_u64 << TIMER).to_le_bytes()), WAITS(&[TIMER]));
    assert_eq!(timer(), Some(300));
}

/// Goes to the time of the timer, and polls, until there is no timer.
fn run(poll_it: impl Fn() -> Polled) -> Polled {
    loop {
        let polled = poll_it();
        let Some(delay) = timer() else { return polled };
        pass(delay);
    }
}

/// All lengths of three sleeps from 0 to 4: each ends at its time, none before a shorter one, in one poll for each time.
#[test]
fn several_sleeps_share_the_timer() {
    thread_local! {
        static TIMES: Cell<[u64; 3]> = const { Cell::new([0; 3]) };
        static ENDS: RefCell<Vec<(u64, usize)>> = const { RefCell::new(Vec::new()) };
    }
    async fn one(cx: TaskContext<Of>, number: usize) {
        cx.sleep(TIMES.get()[number]).await;
        ENDS.with_borrow_mut(|ends| ends.push((cx.now(), number)));
    }
    async fn main(cx: TaskContext<Of>) {
        loop {
            cx.notified(PRICE).await;
            both(one(cx, 0), both(one(cx, 1), one(cx, 2))).await;
        }
    }
    task!(main);
    assert_eq!(run(poll_it), WAITS(&[PRICE]));
    for times in (0..125).map(|number| [number % 5, number / 5 % 5, number / 25]) {
        TIMES.set(times);
        publish(PRICE);
        let start = LOADER.with(|loader| loader.now.get());
        assert_eq!(run(poll_it), WAITS(&[PRICE]));
        let mut expected: Vec<_> = (0..3).map(|number| (start + times[number], number)).collect();
        expected.sort_unstable();
        assert_eq!(ENDS.take(), expected);
    }
}

#[test]
fn a_sleep_that_is_dropped_costs_one_poll_at_most() {
    async fn main(cx: TaskContext<Of>) {
        // A time limit for each of many notifications.
        while !either(cx.sleep(1_000), cx.notified(PRICE)).await {}
        say("late");
        cx.stopped().await;
    }
    task!(main);
    poll_it();
    assert_eq!(calls(), (1, 1));
    for _ in 0..9 {
        pass(100);
        publish(PRICE);
        assert_eq!(poll_it(), WAITS(&[PRICE, TIMER]));
        // The timer of the first sleep stays; the time is asked for because a new sleep starts.
        assert_eq!((calls(), log()), ((0, 1), vec![]));
    }
    pass(100);
    assert_eq!((poll_it(), calls(), timer()), (WAITS(&[PRICE, TIMER]), (1, 1), Some(900)));
    pass(900);
    assert_eq!((poll_it(), log(), timer()), (WAITS(&[STOP]), vec!["late"], None));
}

#[test]
fn clocks_count_what_was_missed() {
    thread_local! {
        static TICKS: Cell<u64> = const { Cell::new(0) };
    }
    async fn main(cx: TaskContext<Of>) {
        let mut clock = cx.every(100);
        loop {
            // A future that is dropped in the middle loses nothing.
            let first = either(clock.next(), cx.notified(PRICE)).await;
            TICKS.set(if first { 0 } else { 1000 } + clock.next().await);
        }
    }
    task!(main);
    poll_it();
    for late in 0..500 {
        publish(PRICE);
        assert_eq!((poll_it(), timer(), TICKS.get()), (WAITS(&[TIMER]), Some(100), 0));
        pass(100 + late);
        // The ticks stay where those of a clock that is never late are.
        assert_eq!((poll_it(), TICKS.take()), (WAITS(&[PRICE, TIMER]), 1000 + 1 + late / 100));
        assert_eq!(timer(), Some(100 - late % 100));
        pass(100 - late % 100);
        assert_eq!((poll_it(), timer(), TICKS.get()), (WAITS(&[TIMER]), Some(100), 0));
        pass(100);
        assert_eq!((poll_it(), TICKS.take()), (WAITS(&[PRICE, TIMER]), 1));
    }
}

#[test]
fn times_at_the_ends_of_the_range_are_times() {
    thread_local! {
        static TICKS: Cell<u64> = const { Cell::new(0) };
    }
    async fn main(cx: TaskContext<Of>) {
        TICKS.set(cx.every(0).next().await);
        let mut clock = cx.every(u64::MAX);
        assert!(!either(cx.sleep(u64::MAX), cx.notified(TRADE)).await);
        assert!(!either(clock.next(), cx.notified(TRADE)).await);
        either(cx.notified(64), cx.notified(u32::MAX)).await;
    }
    task!(main);
    poll_it();
    assert_eq!(timer(), Some(1));
    pass(1_000_000);
    assert_eq!((poll_it(), TICKS.get(), timer()), (WAITS(&[TRADE, TIMER]), 1_000_000, None));
    publish(TRADE);
    assert_eq!((poll_it(), timer()), (WAITS(&[TRADE, TIMER]), None));
    publish(TRADE);
    // There are no such events, so nothing is waited for, except what this poll began with.
    assert_eq!((poll_it(), timer()), (WAITS(&[TIMER]), None));
    assert_eq!(poll_with(&mut 0, &[0xff; 8]), WAITS(&[]));
}

#[test]
fn notifications_are_levels_and_the_request_to_end_stays() {
    async fn main(cx: TaskContext<Of>) {
        cx.notified(PRICE).await;
        say("price");
        cx.notified(PRICE).await;
        say("price again");
        both(cx.notified(PRICE), cx.notified(PRICE)).await;
        say("two prices");
        cx.stopped().await;
        cx.stopped().await;
        let mut clock = cx.every(10);
        while !either(cx.stopped(), clock.next()).await {}
        say("end");
    }
    task!(main);
    // Many before the first look are one.
    publish(PRICE);
    assert_eq!((poll_it(), log()), (WAITS(&[PRICE]), vec!["price"]));
    assert_eq!(poll_with(&mut 0, &[]), WAITS(&[PRICE]));
    assert_eq!(poll_with(&mut 0, &[1; 7]), WAITS(&[PRICE]));
    publish(STOP);
    assert_eq!((poll_it(), log()), (WAITS(&[PRICE]), vec![]));
    publish(PRICE);
    assert_eq!((poll_it(), log()), (WAITS(&[PRICE]), vec!["price again"]));
    publish(PRICE);
    assert_eq!((poll_it(), log()), (WAITS(&[PRICE]), vec![]));
    publish(PRICE);
    assert_eq!((poll_it(), log()), (ended(0), vec!["two prices", "end"]));
}

#[test]
fn a_task_waits_for_elements_of_a_ring() {
    use crate::shared::{Consumer, Producer, SharedBytes, ring_bytes};
    #[repr(align(8))]
    struct Memory([u8; ring_bytes::<u64>(4)]);
    thread_local! {
        static RING: RefCell<Memory> = const { RefCell::new(Memory([0; _])) };
    }
    fn with_ring<R>(work: impl FnOnce(SharedBytes<'_>) -> R) -> R {
        RING.with_borrow_mut(|memory| work(SharedBytes::new(&mut memory.0)))
    }
    async fn main(cx: TaskContext<Of>) -> i32 {
        let (mut position, mut sum) = (0, 0);
        while sum < 6 {
            // As a module does, whose region is open in one call alone.
            sum += cx
                .until(PRICE, |_, _| {
                    with_ring(|bytes| {
                        let mut ring = Consumer::<u64>::new(bytes, position).unwrap();
                        let found = ring.pop().unwrap();
                        position = ring.position();
                        found
                    })
                })
                .await;
        }
        sum as i32
    }
    task!(main);
    let mut position = 0;
    let mut push = |value: u64| {
        with_ring(|bytes| {
            let mut ring = Producer::new(bytes, position).unwrap();
            ring.push(value).unwrap();
            position = ring.position();
        });
    };
    // What is there at first is found without an event, and a notification without an element is none.
    push(1);
    assert_eq!(poll_it(), WAITS(&[PRICE]));
    publish(PRICE);
    assert_eq!(poll_it(), WAITS(&[PRICE]));
    push(2);
    push(3);
    assert_eq!(poll_with(&mut 0, &[]), WAITS(&[PRICE]));
    publish(PRICE);
    assert_eq!(poll_it(), ended(6));
}

#[test]
fn a_task_that_wakes_itself_for_ever_is_polled_once_in_a_call() {
    async fn main(cx: TaskContext<Of>) {
        both(
            async {
                loop {
                    say("turn");
                    cx.yield_now().await;
                }
            },
            cx.sleep(7),
        )
        .await;
    }
    task!(main);
    for _ in 0..1000 {
        let (result, waits) = poll_it();
        assert_eq!((result, waits & 1 << TIMER), (0, 1 << TIMER));
        assert_eq!((log(), timer()), (vec!["turn"], Some(0)));
        pass(1);
    }
}

/// A future that polls its part only when that was woken, as `FuturesUnordered` does.
struct WhenWoken<F>(Pin<Box<F>>, std::sync::Arc<Flag>);

#[derive(Default)]
struct Flag(std::sync::Mutex<Option<Waker>>, std::sync::atomic::AtomicBool);

impl std::task::Wake for Flag {
    fn wake(self: std::sync::Arc<Flag>) {
        self.1.store(true, core::sync::atomic::Ordering::Relaxed);
        if let Some(outer) = &*self.0.lock().unwrap() {
            outer.wake_by_ref();
        }
    }
}

impl<F: Future> Future for WhenWoken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<F::Output> {
        *self.1.0.lock().unwrap() = Some(context.waker().clone());
        if !self.1.1.swap(false, core::sync::atomic::Ordering::Relaxed) {
            return Poll::Pending;
        }
        let waker = Waker::from(self.1.clone());
        self.0.as_mut().poll(&mut task::Context::from_waker(&waker))
    }
}

#[test]
fn futures_with_wakers_of_their_own_miss_nothing() {
    async fn main(cx: TaskContext<Of>) {
        let flag = std::sync::Arc::new(Flag::default());
        flag.1.store(true, core::sync::atomic::Ordering::Relaxed);
        WhenWoken(Box::pin(cx.sleep(5)), flag).await;
    }
    task!(main);
    for _ in 0..5 {
        assert_eq!((poll_it(), timer()), (WAITS(&[TIMER]), Some(0)));
        pass(1);
    }
    assert_eq!(poll_it(), ended(0));
}

#[test]
fn other_calls_of_the_module_wake_the_task() {
    thread_local! {
        static WAKER: RefCell<Option<Waker>> = const { RefCell::new(None) };
    }
    async fn main(_: TaskContext<Of>) {
        for _ in 0..2 {
            let mut is_first = true;
            poll_fn(|context| {
                WAKER.set(Some(context.waker().clone()));
                if core::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
        }
    }
    task!(main);
    let call = || end_call::<Of>(&Context::new(&Services::NONE, b"", &mut []));
    // Before the first poll nothing is to be armed.
    call();
    assert_eq!(calls(), (0, 0));
    assert_eq!((poll_it(), timer()), (WAITS(&[]), None));
    call();
    assert_eq!(timer(), None);
    let waker = WAKER.with_borrow(|waker| waker.clone().unwrap());
    waker.wake_by_ref();
    waker.wake_by_ref();
    call();
    call();
    assert_eq!((timer(), calls()), (Some(0), (1, 0)));
    assert_eq!((poll_it(), timer()), (WAITS(&[]), None));
    waker.wake_by_ref();
    call();
    assert_eq!((poll_it(), timer()), (ended(0), None));
    // A waker that outlives the task wakes nobody.
    waker.wake();
    call();
    assert_eq!((timer(), poll_it()), (None, ended(0)));
}

#[test]
fn what_a_task_holds_is_dropped_once_and_in_order() {
    async fn main(cx: TaskContext<Of>) {
        let _last = Dropped("last");
        let first = async {
            let _first = Dropped("first");
            cx.sleep(10).await;
        };
        let second = async {
            let _second = Dropped("second");
            cx.sleep(1_000).await;
        };
        assert!(either(first, second).await);
        say("chosen");
        let _middle = Dropped("middle");
        cx.notified(PRICE).await;
    }
    task!(main);
    poll_it();
    pass(10);
    assert_eq!((poll_it(), log()), (WAITS(&[PRICE]), vec!["first", "second", "chosen"]));
    publish(PRICE);
    assert_eq!((poll_it(), log()), (ended(0), vec!["middle", "last"]));
    assert_eq!((poll_it(), log()), (ended(0), vec![]));
}

fn panics<R>(work: impl FnOnce() -> R) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err()
}

#[test]
fn a_task_that_panics_stays_where_it_is() {
    async fn main(cx: TaskContext<Of>) {
        let _held = Dropped("held");
        cx.sleep(10).await;
        cx.with(|_, _| panic!("in the middle"))
    }
    task!(main);
    poll_it();
    pass(10);
    assert!(panics(poll_it));
    assert_eq!(log(), ["held"]);
    // A loader would not call it again.
    assert!(panics(poll_it));
    assert_eq!(log(), Vec::<&str>::new());
}

#[test]
fn a_task_that_panics_in_drop_has_ended() {
    struct Angry;
    impl Drop for Angry {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    /// A future that is ready at once, and can't be dropped.
    struct Ready {
        _angry: Angry,
    }
    impl Future for Ready {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }
    fn main(_: TaskContext<Of>) -> Ready {
        Ready { _angry: Angry }
    }
    task!(main);
    assert!(panics(poll_it));
    assert_eq!(poll_it(), ended(0));
}

#[test]
fn lends_context_imports_and_state_one_at_a_time() {
    thread_local! {
        static KEPT: RefCell<Vec<Box<dyn Fn()>>> = const { RefCell::new(Vec::new()) };
    }
    async fn main(cx: TaskContext<Of>) {
        let now = cx.with(|context, mut client| {
            assert_eq!(context.input().len(), 8);
            // The state is lent apart from the context.
            cx.state(|state| *state += 1);
            assert!(panics(|| cx.now()) && panics(|| cx.notify(0)) && panics(|| cx.with(|_, _| ())));
            client.now()
        });
        assert_eq!(now, Ok(cx.now()));
        cx.state(|state| {
            assert!(panics(|| cx.state(|_| ())));
            *state += cx.notify(7).unwrap();
        });
        assert_eq!(cx.notify(64), Err(Gone));
        KEPT.with_borrow_mut(|kept| {
            kept.push(Box::new(move || _ = cx.now()));
            kept.push(Box::new(move || cx.state(|_| ())));
            kept.push(Box::new(move || cx.with(|_, _| ())));
        });
        cx.notified(PRICE).await;
        cx.state(|state| *state += 1);
    }
    task!(main);
    let mut state = 10;
    assert_eq!(poll_with(&mut state, &take_due().to_le_bytes()), WAITS(&[PRICE]));
    assert_eq!(state, 13);
    LOADER.with(|loader| assert_eq!(loader.calls.notified.take(), [7, 64]));
    // Nothing is lent outside of polls.
    KEPT.take().into_iter().for_each(|use_it| assert!(panics(use_it)));
    // Each poll lends what it got: a reload may have put the state elsewhere.
    let mut other = 40;
    assert_eq!(poll_with(&mut other, &1_u64.to_le_bytes()), ended(0));
    assert_eq!((state, other), (13, 41));
}

#[test]
fn a_loader_that_does_not_answer_is_a_fault() {
    async fn main(cx: TaskContext<Of>) {
        cx.yield_now().await;
        let _ = cx.now();
    }
    task!(main);
    LOADER.with(|loader| loader.is_gone.set(true));
    assert!(panics(poll_it));
    assert!(panics(poll_it));
}

#[test]
fn a_future_lies_at_its_alignment() {
    #[repr(align(256))]
    struct Aligned([u8; 300]);
    async fn main(cx: TaskContext<Of>) -> i32 {
        let aligned = Aligned([7; 300]);
        cx.notified(PRICE).await;
        let address = (&raw const aligned).addr();
        i32::from(aligned.0[299]) + (address % 256) as i32
    }
    task!(main);
    assert_eq!(poll_it(), WAITS(&[PRICE]));
    publish(PRICE);
    assert_eq!(poll_it(), ended(7));
}

/// The data of a task besides its future.
#[test]
fn an_idle_task_takes_few_bytes() {
    async fn main(_: TaskContext<Of>) {}
    task!(main);
    assert_eq!((size_of_val(&CURRENT), size_of_val(&TASK)), (64, 16));
    assert_eq!(poll_it(), ended(0));
}
