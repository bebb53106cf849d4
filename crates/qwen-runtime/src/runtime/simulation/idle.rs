//! An engine without work.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::fake_engine::{self, Cost, FakeConfig, FakeEngine};
use super::request::World;
use crate::runtime::engine_loop::EngineLoop;

#[test]
fn an_idle_engine_prepares_for_work_and_then_sleeps() {
    let cost = Cost { step: Duration::ZERO, sequence: Duration::ZERO, token: Duration::ZERO };
    let config = FakeConfig { blocks: 8, block_len: 4, max_sequences: 2, cost, failures: 0, seed: 0 };
    let (engine, cache) = FakeEngine::new(World::load().architecture, config);
    let mut engine_loop = EngineLoop::new(Box::new(engine), fake_engine::clock(Instant::now(), &cache));
    let (sender, jobs) = channel();
    let loop_thread = thread::spawn(move || engine_loop.run(&jobs));
    let preparations = || cache.lock().unwrap().preparations;
    while preparations().0 < preparations().1 {
        thread::yield_now();
    }
    thread::sleep(Duration::from_millis(20));
    drop(sender);
    loop_thread.join().unwrap();
    assert_eq!(preparations().0, preparations().1);
}
