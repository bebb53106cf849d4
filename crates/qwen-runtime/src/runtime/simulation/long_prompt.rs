//! A long prompt that comes while texts are running, and prompts that begin alike.

use std::time::Duration;

use super::Simulation;
use super::fake_engine::{Cost, FakeConfig, VOCAB};
use super::request::{Request, World};
use crate::TokenId;
use crate::generation::{GenerationEvent, ThinkingBudget, Usage};
use crate::sampling::SamplingOptions;

const STEP: Duration = Duration::from_millis(20);

fn config() -> FakeConfig {
    let cost = Cost { step: STEP, sequence: Duration::from_millis(2), token: Duration::from_millis(3) };
    FakeConfig { blocks: 400, block_len: 16, max_sequences: 8, cost, failures: 0, seed: 0 }
}

/// A request whose text ends after exactly `max_new_tokens`.
fn request(prompt: Vec<TokenId>, max_new_tokens: usize) -> Request {
    let never_end = SamplingOptions { logit_bias: Some(vec![(7, -1e9)]), ..SamplingOptions::default() };
    Request {
        prompt,
        max_new_tokens,
        thinking_budget: ThinkingBudget::Off,
        sampling: SamplingOptions { seed: Some(1), ..never_end },
        arrival: 0,
        patience: None,
        timeout: None,
    }
}

fn prompt(tokens: usize, seed: usize) -> Vec<TokenId> {
    (0..tokens).map(|n| ((n * n + seed) % VOCAB) as TokenId).collect()
}

fn usage(simulation: &Simulation<'_>, client: usize) -> Option<Usage> {
    match simulation.clients[client].received.last() {
        Some(Ok(GenerationEvent::Finished { usage, .. })) => Some(*usage),
        _ => None,
    }
}

/// Plays a prompt of 2,000 tokens beside `streams` running texts; returns the time until its first
/// token, and what each step took that the texts took part in.
fn play(world: &World, streams: usize) -> (Duration, Vec<Duration>) {
    let mut simulation = Simulation::new(world, config());
    for seed in 0..streams {
        simulation.enqueue(request(prompt(20, seed), 900));
    }
    (0..10).for_each(|_| simulation.turn());
    let (long, start) = (simulation.clients.len(), simulation.cache().time);
    simulation.enqueue(request(prompt(2000, 9), 2));
    let mut steps = Vec::new();
    while simulation.clients[long].received.is_empty() {
        let before = simulation.cache().time;
        simulation.turn();
        steps.push(simulation.cache().time - before);
    }
    let time = simulation.cache().time - start;
    (time, steps)
}

#[test]
fn a_long_prompt_does_not_stall_running_texts() {
    let world = World::load();
    let (alone, _) = play(&world, 0);
    let (beside, steps) = play(&world, 4);
    // What a step of the four texts alone takes.
    let gap = STEP + Duration::from_millis(4 * 2);
    assert!(steps.iter().all(|step| *step <= gap * 3), "{steps:?}");
    // A third of a step is the texts'.
    assert!(beside <= alone.mul_f64(1.6), "{beside:?} beside texts, {alone:?} alone");
}

#[test]
fn a_cancelled_prompt_is_gone_after_the_step_and_others_go_on() {
    let world = World::load();
    let mut simulation = Simulation::new(&world, config());
    simulation.enqueue(request(prompt(20, 1), 30));
    (0..5).for_each(|_| simulation.turn());
    simulation.enqueue(Request { arrival: simulation.turn, patience: Some(3), ..request(prompt(2000, 9), 2) });
    for _ in 0..4 {
        assert!(simulation.cache().pool.sequences() <= 2);
        simulation.turn();
    }
    assert_eq!(simulation.cache().pool.sequences(), 1);
    while !simulation.all_ended() {
        simulation.turn();
    }
    assert_eq!(usage(&simulation, 0).unwrap().completion_tokens, 30);
    simulation.finish();
}

#[test]
fn the_second_prompt_with_a_beginning_starts_from_it() {
    let world = World::load();
    let mut simulation = Simulation::new(&world, config());
    let mut times = Vec::new();
    for question in 0..2 {
        let start = simulation.cache().time;
        simulation.enqueue(request([prompt(1000, 0), prompt(40, question + 1)].concat(), 1));
        while !simulation.all_ended() {
            simulation.turn();
        }
        times.push(simulation.cache().time - start);
    }
    assert_eq!(usage(&simulation, 0).unwrap().cached_tokens, 0);
    // 1,000 tokens are 62 blocks of 16, and 8 more.
    assert_eq!(usage(&simulation, 1).unwrap().cached_tokens, 992);
    assert!(times[1] * 8 < times[0], "{times:?}");
    simulation.finish();
}
