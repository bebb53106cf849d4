//! A hundred programs that are killed at random moments, and what the next one fetches.

use std::time::Duration;

use crate::disk::{self, PAGE};
use crate::hub::Seen;
use crate::hub::sample::{self, WEIGHTS};
use crate::process::{LARGE, MODEL, Program, assert_whole, slow_hub};

const KILLS: u64 = 100;

/// What a kill may cost: bytes that the Hub has sent and nobody has written. On each of two connections these are the
/// 64 KiB that it sends at a time, and what the kernel keeps for a reader that has not been scheduled for a while.
const IN_FLIGHT: u64 = 2 * (64 << 10) * 4;

#[test]
fn a_hundred_kills_cost_almost_nothing() {
    let hub = slow_hub(Duration::from_millis(1));
    let mut random = sample::noise(20_260_101);
    let (mut kills, mut models, mut sent) = (0, 0, 0);
    while kills < KILLS {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        loop {
            let before = disk::pages(&cache, MODEL, &LARGE);
            hub.forget();
            let mut program = Program::fetch(dir.path(), &hub);
            // About a third of the time that a fetch takes.
            std::thread::sleep(Duration::from_micros(random.next().unwrap() % 250_000));
            let was_killed = kills < KILLS && program.kill();
            if was_killed {
                kills += 1;
            } else {
                program.succeed();
            }
            sent += hub.sent(WEIGHTS);
            assert_nothing_again(&hub.seen(), &before);
            disk::assert_sound(&cache);
            if !was_killed {
                break;
            }
        }
        assert_whole(dir.path());
        let left = disk::names(&disk::repo(&cache, MODEL).join("partial"));
        assert!(left.is_empty(), "nothing unfinished is left: {left:?}");
        models += 1;
    }
    let len = LARGE.len() * models;
    let again = sent.saturating_sub(len);
    println!("{kills} kills, {models} models of {} bytes, {again} bytes sent more than once", LARGE.len());
    assert!(sent <= len + len / 100 + kills * IN_FLIGHT, "{sent} bytes for {len}");
}

/// No request asks for more than a hundredth of the file of what was on the disk before.
fn assert_nothing_again(seen: &[Seen], before: &[bool]) {
    for request in seen.iter().filter(|seen| seen.path.starts_with("/cdn/") && seen.path.ends_with(WEIGHTS)) {
        let range = request.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let (first, last) = range.expect("two segments are fetched by their ranges");
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        let asked = (first.div_ceil(PAGE)..last / PAGE).map(|page| page as usize);
        let again = asked.filter(|page| before.get(*page) == Some(&true)).count() as u64 * PAGE;
        assert!(again <= LARGE.len() / 100, "{again} bytes that were there are asked for: {request:?}");
    }
}
