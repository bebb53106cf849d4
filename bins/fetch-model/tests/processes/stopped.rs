//! A program that is stopped while it fetches, as a machine is that sleeps: another one takes over, and the first one
//! does no harm when it goes on.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::hub::Hub;
use crate::hub::sample::WEIGHTS;
use crate::process::{LARGE, Program, assert_whole, eventually, holder, slow_hub, there};

/// Longer than a silent owner is waited for.
const LONG: Duration = Duration::from_secs(60);

/// A program that holds the lease and has fetched a part.
fn fetching(dir: &Path, hub: &Hub, percent: u64) -> Program {
    let mut program = Program::fetch(dir, hub);
    assert!(eventually(|| there(dir) > LARGE.len() * percent / 100));
    assert_eq!(holder(dir), Some(program.id()));
    program
}

/// All at once, since they take a minute of waiting each.
#[test]
fn a_stopped_program_neither_holds_others_up_nor_does_harm() {
    std::thread::scope(|scope| {
        // At the end, all that is missing is on its way while the program does not run, and it is the faster one then.
        for percent in [10, 97] {
            scope.spawn(move || another_takes_over_and_the_first_ends_well_when_it_goes_on(percent));
            scope.spawn(move || the_first_goes_on_while_another_fetches(percent));
        }
        scope.spawn(the_first_goes_on_when_its_heir_has_died);
    });
}

fn another_takes_over_and_the_first_ends_well_when_it_goes_on(percent: u64) {
    let (hub, dir) = (slow_hub(Duration::from_millis(5)), tempfile::tempdir().unwrap());
    let mut first = fetching(dir.path(), &hub, percent);
    first.signal("STOP");
    let stopped = Instant::now();
    let left = there(dir.path());
    hub.forget();
    let second = Program::fetch(dir.path(), &hub);
    second.succeed();
    assert_whole(dir.path());
    let sent = hub.sent(WEIGHTS);
    assert!(sent + left <= LARGE.len() * 101 / 100, "{left} bytes were there, and {sent} were fetched");
    assert!(first.is_running());
    std::thread::sleep(LONG.saturating_sub(stopped.elapsed()));
    first.signal("CONT");
    first.succeed();
    assert_whole(dir.path());
}

fn the_first_goes_on_while_another_fetches(percent: u64) {
    let (hub, dir) = (slow_hub(Duration::from_millis(30)), tempfile::tempdir().unwrap());
    let mut first = fetching(dir.path(), &hub, percent);
    first.signal("STOP");
    let mut second = Program::fetch(dir.path(), &hub);
    let heir = second.id();
    assert!(eventually(|| holder(dir.path()) == Some(heir)), "the second one takes over");
    first.signal("CONT");
    second.succeed();
    first.succeed();
    assert_whole(dir.path());
}

/// The one that took over is killed, and the first goes on after it.
fn the_first_goes_on_when_its_heir_has_died() {
    let (hub, dir) = (slow_hub(Duration::from_millis(30)), tempfile::tempdir().unwrap());
    let mut first = fetching(dir.path(), &hub, 10);
    first.signal("STOP");
    let mut second = Program::fetch(dir.path(), &hub);
    let heir = second.id();
    assert!(eventually(|| holder(dir.path()) == Some(heir)), "the second one takes over");
    assert!(second.kill());
    first.signal("CONT");
    first.succeed();
    assert_whole(dir.path());
}
