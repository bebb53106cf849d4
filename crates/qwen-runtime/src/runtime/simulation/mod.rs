//! Random schedules over the real scheduler and the real block pool, without a model.

mod fake_engine;
mod idle;
mod long_prompt;
mod request;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::deadline::Deadline;
use super::engine_loop::{Clock, EngineLoop};
use super::job::Job;
use super::sequence::Sequence;
use super::stream::EventSender;
use super::waiting_room::WaitingRoom;
use crate::TokenId;
use crate::engine::SequenceId;
use crate::error::RuntimeError;
use crate::generation::GenerationEvent;
use crate::sampling::TokenHistory;
use fake_engine::{Cache, Cost, FakeConfig, FakeEngine, VOCAB};
use request::{Request, World};

type Events = UnboundedReceiver<Result<GenerationEvent, RuntimeError>>;

/// A request that has come.
struct Client {
    request: Request,
    /// To know its sequence by.
    sender: EventSender,
    /// `None` when the reader has gone away.
    events: Option<Events>,
    received: Vec<Result<GenerationEvent, RuntimeError>>,
    ended: bool,
}

/// What happened in many schedules; a simulation in which nothing happens proves nothing.
#[derive(Debug, Default)]
struct Tally {
    finished: usize,
    cancelled: usize,
    expired: usize,
    paused: usize,
    resumed_tokens: usize,
    failed_steps: usize,
}

/// An engine loop with its clients, turned by hand.
struct Simulation<'a> {
    world: &'a World,
    engine_loop: EngineLoop,
    cache: Arc<Mutex<Cache>>,
    start: Instant,
    room: WaitingRoom,
    clients: Vec<Client>,
    turn: usize,
    tally: Tally,
}

impl<'a> Simulation<'a> {
    fn new(world: &'a World, config: FakeConfig) -> Self {
        let (engine, cache) = FakeEngine::new(world.architecture.clone(), config);
        let start = Instant::now();
        let engine_loop = EngineLoop::new(Box::new(engine), fake_engine::clock(start, &cache));
        let (room, clients) = (WaitingRoom::new(1000), Vec::new());
        Self { world, engine_loop, cache, start, room, clients, turn: 0, tally: Tally::default() }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap()
    }

    fn enqueue(&mut self, request: Request) {
        let (sender, events) = unbounded_channel();
        let now = self.start + self.cache().time;
        self.engine_loop.scheduler.enqueue(Sequence::from(Job {
            prompt: request.prompt.clone(),
            most: request.most(self.world),
            writer: request.writer(self.world),
            sampler: request.sampler(),
            history: TokenHistory::of_prompt(&request.prompt),
            events: sender.clone(),
            deadline: request.timeout.and_then(|allowed| Deadline::after(now, allowed)),
            ticket: self.room.enter().unwrap(),
        }));
        self.clients.push(Client { request, sender, events: Some(events), received: Vec::new(), ended: false });
    }

    /// Whether every client has got its end.
    fn all_ended(&self) -> bool {
        self.clients.iter().all(|client| client.ended)
    }

    /// One turn of the loop, with every invariant checked.
    fn turn(&mut self) {
        self.cancel();
        self.engine_loop.drop_abandoned();
        self.engine_loop.admit();
        let (running, waiting) = (self.engine_loop.scheduler.running().len(), self.engine_loop.scheduler.all().1.len());
        assert!(running > 0 || waiting == 0, "nobody runs");
        self.step();
        self.check_order();
        self.cache().pool.check();
        self.read();
        self.check_progress();
        self.turn += 1;
    }

    fn cancel(&mut self) {
        for client in self.clients.iter_mut().filter(|client| !client.ended) {
            if client.request.patience.is_some_and(|turns| self.turn >= client.request.arrival + turns) {
                client.events = None;
                client.ended = true;
                self.tally.cancelled += 1;
            }
        }
    }

    /// The clients of running and waiting requests.
    fn order(&self) -> (usize, Vec<usize>) {
        let (running, sequences) = self.engine_loop.scheduler.all();
        let client = |sequence: &Sequence| self.clients.iter().position(|client| sequence.tells(&client.sender));
        (running, sequences.into_iter().map(|sequence| client(sequence).unwrap()).collect())
    }

    /// Who came first runs first; who is gone has no place, and nobody else has lost one.
    fn check_order(&self) {
        let (running, order) = self.order();
        assert!(order.is_sorted(), "out of order: {order:?}");
        let ids: Vec<SequenceId> = self.engine_loop.scheduler.running().iter().map(|running| running.id).collect();
        let cache = self.cache();
        assert_eq!(cache.sequences.len(), running, "a place was not given back");
        assert!(ids.iter().all(|id| cache.sequences.contains_key(id)) && cache.pool.sequences() == running);
    }

    /// A step that keeps its budget, and in which every running text gets on.
    fn step(&mut self) {
        let decoding: BTreeMap<SequenceId, usize> = self
            .engine_loop
            .scheduler
            .running()
            .iter()
            .filter(|running| running.decoding)
            .map(|running| (running.id, running.pending().len()))
            .collect();
        let (_, before) = self.order();
        let places: Vec<(SequenceId, usize)> =
            self.engine_loop.scheduler.running().iter().map(|running| running.id).zip(before).collect();
        let allowed = [0, 1].map(|decoding| self.engine_loop.budget.prompt_tokens(decoding));
        let failed = self.cache().failed;
        self.cache().computed.clear();

        self.engine_loop.step();

        let computed: BTreeMap<SequenceId, usize> = self.cache().computed.iter().copied().collect();
        let failed = self.cache().failed > failed;
        let beside_texts = usize::from(computed.keys().any(|id| decoding.contains_key(id)));
        let prompts: usize = computed.iter().filter(|(id, _)| !decoding.contains_key(id)).map(|(_, n)| n).sum();
        // In a step that fails and is tried in parts, each part was planned beside the others.
        assert!(prompts <= allowed[if failed { 0 } else { beside_texts }], "{prompts} tokens of prompts in a step");
        let (running, order) = self.order();
        let paused = |id: SequenceId| {
            let client = places.iter().find(|place| place.0 == id).map(|place| place.1);
            order[running..].iter().any(|waiting| Some(*waiting) == client)
        };
        for (&id, &pending) in &decoding {
            assert!(computed.get(&id) == Some(&pending) || paused(id) || failed, "a text did not get on");
        }
        self.tally.paused += places.iter().filter(|(id, _)| paused(*id)).count();
    }

    fn read(&mut self) {
        for client in self.clients.iter_mut().filter(|client| !client.ended) {
            while let Some(Ok(event)) = client.events.as_mut().map(Events::try_recv) {
                client.ended |= matches!(event, Err(_) | Ok(GenerationEvent::Finished { .. }));
                client.received.push(event);
            }
        }
    }

    /// Whoever came before a request may hold it up by no more than what that one's own tokens take
    /// when it is the oldest: four of its prompt in a step, or one of its text.
    fn check_progress(&self) {
        let mut bound = 8 + self.cache().failed;
        for client in &self.clients {
            bound += client.request.most(self.world) / 3 + client.request.max_new_tokens + 8;
            assert!(client.ended || self.turn <= client.request.arrival + bound, "a request starves");
        }
    }

    /// After the last turn: each text is the one that it is alone, and all room is there again.
    fn finish(mut self) -> Tally {
        for client in std::mem::take(&mut self.clients) {
            let alone = client.request.alone(self.world);
            let (events, error) = request::split(client.received);
            match error {
                None if client.events.is_some() => {
                    self.tally.finished += 1;
                    assert!(events == alone, "another text: {events:?}, alone {alone:?}");
                }
                None => {}
                Some(RuntimeError::DeadlineExceeded { allowed }) => {
                    self.tally.expired += 1;
                    assert_eq!(Some(allowed), client.request.timeout);
                    assert!(allowed <= self.cache().time, "ended before its time");
                }
                Some(error) => panic!("a request failed: {error}"),
            }
            assert!(alone.starts_with(&events), "another text: {events:?}, alone {alone:?}");
        }
        let cache = self.cache.lock().unwrap();
        assert_eq!((cache.pool.free_tokens(), self.room.waiting()), (cache.pool.max_tokens(), 0));
        self.tally.resumed_tokens = cache.resumed;
        self.tally.failed_steps = cache.failed;
        self.tally
    }
}

/// Names the schedule that failed.
struct Schedule(u64);

impl Drop for Schedule {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in schedule {}", self.0);
        }
    }
}

fn random_schedule(world: &World, seed: u64) -> Tally {
    let _name = Schedule(seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let block_len = rng.random_range(1..=6);
    let crowded = rng.random_bool(0.5);
    let mut ms = |most: u64| Duration::from_millis(rng.random_range(0..most));
    let cost = Cost { step: ms(40), sequence: ms(4), token: ms(8) };
    let config = FakeConfig {
        // From just enough for one long request to enough for all.
        blocks: rng.random_range(if crowded { 40..80_usize } else { 40..200 }).div_ceil(block_len),
        block_len,
        max_sequences: rng.random_range(1..=6),
        cost,
        failures: if rng.random_ratio(1, 4) { 60 } else { 0 },
        seed,
    };
    let context = config.blocks * block_len;
    let prefix = |rng: &mut ChaCha8Rng| -> Vec<TokenId> {
        (0..rng.random_range(1..context / 2)).map(|_| rng.random_range(0..VOCAB as TokenId)).collect()
    };
    let prefixes = [prefix(&mut rng), prefix(&mut rng)];
    let mut requests: Vec<Request> =
        (0..rng.random_range(1..=10)).map(|_| Request::random(&mut rng, world, &prefixes, context)).collect();
    for request in &mut requests {
        request.arrival = rng.random_range(if crowded { 0..4 } else { 0..40 });
    }
    requests.sort_by_key(|request| std::cmp::Reverse(request.arrival));

    let mut simulation = Simulation::new(world, config);
    while !requests.is_empty() || !simulation.all_ended() {
        while let Some(request) = requests.pop_if(|request| request.arrival <= simulation.turn) {
            simulation.enqueue(request);
        }
        simulation.turn();
    }
    simulation.turn();
    simulation.finish()
}

#[test]
fn ten_thousand_random_schedules_keep_every_invariant() {
    let world = World::load();
    let mut sum = Tally::default();
    for seed in 0..10_000 {
        let tally = random_schedule(&world, seed);
        sum.finished += tally.finished;
        sum.cancelled += tally.cancelled;
        sum.expired += tally.expired;
        sum.paused += tally.paused;
        sum.resumed_tokens += tally.resumed_tokens;
        sum.failed_steps += tally.failed_steps;
    }
    println!("{sum:?}");
    assert!(sum.finished > 20_000 && sum.cancelled > 1000 && sum.expired > 1000, "{sum:?}");
    assert!(sum.paused > 2000 && sum.resumed_tokens > 100_000 && sum.failed_steps > 1000, "{sum:?}");
}
