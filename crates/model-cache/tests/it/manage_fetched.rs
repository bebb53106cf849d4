//! Managing what was fetched: pruned versions, discarded files and locked ones, against a Hub.

use std::collections::BTreeMap;
use std::fs;

use model_cache::{
    CacheConfig, ModelsLock, PruneMode, PruneOptions, Refresh, Removed, Selection, Verdict, VerifyAction, VerifyScope,
};
use tempfile::tempdir;

use crate::hub::{COMMIT, Hub, sample};
use crate::{cache, config, online, spec};

const NEXT: &str = "89abcdef0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn an_old_version_goes_and_the_new_one_is_fetched_no_more() {
    let dir = tempdir().unwrap();
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let following = cache(CacheConfig { refresh: Refresh::Always, ..config(dir.path(), &hub.url()) });
    following.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    hub.change("acme/tiny", |repo| {
        repo.commit(NEXT, sample::with_weights(sample::safetensors(2000))).branch("main", NEXT)
    });
    following.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    assert_eq!(following.list().unwrap().models.len(), 2);
    let pruned = following.prune(&PruneOptions { older_than: None, mode: PruneMode::Remove }).unwrap();
    assert!(matches!(&pruned.removed[0], Removed::Version { commit, .. } if commit == COMMIT), "{pruned:?}");
    assert!(pruned.freed >= sample::safetensors(1000).len() as u64);
    hub.forget();
    let files = online(dir.path(), &hub).fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    assert_eq!((files.revision.as_deref(), hub.seen()), (Some(NEXT), vec![]));
    let listings = dir.path().join("models--acme--tiny/listings");
    assert_eq!(fs::read_dir(listings).unwrap().count(), 1, "nothing is noted of what is gone");
}

#[tokio::test]
async fn what_verify_discards_is_fetched_again_and_nothing_else() {
    let dir = tempdir().unwrap();
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let cache = online(dir.path(), &hub);
    let files = cache.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    let template = files.path.join("chat_template.jinja");
    fs::write(&template, "{{ massages }}").unwrap();
    let verify = |action| cache.verify(&VerifyScope::Everything, action, &|_| ()).unwrap();
    let broken = verify(VerifyAction::Discard).into_iter().filter(|file| file.verdict.is_broken());
    assert_eq!(
        broken.map(|file| (file.file, file.discarded)).collect::<Vec<_>>(),
        [("chat_template.jinja".to_owned(), true)]
    );
    hub.forget();
    cache.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    assert_eq!(fs::read_to_string(&template).unwrap(), "{{ messages }}");
    assert_eq!(hub.sent(sample::WEIGHTS), 0);
    assert!(verify(VerifyAction::Report).iter().all(|file| file.verdict == Verdict::Sound));
}

#[tokio::test]
async fn what_was_locked_here_is_fetched_there() {
    let (here, there) = (tempdir().unwrap(), tempdir().unwrap());
    let hub = Hub::start(vec![sample::repo("acme/tiny")]);
    let cache_here = online(here.path(), &hub);
    cache_here.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    let entry = cache_here.lock_entry(&spec("acme/tiny")).unwrap();
    // What was fetched for another purpose is not part of it.
    let selection =
        Selection::new(&["README.md".to_owned(), "*.json".to_owned(), "*.safetensors".to_owned()], &[]).unwrap();
    let widely = cache(CacheConfig { selection, refresh: Refresh::Always, ..config(here.path(), &hub.url()) });
    widely.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    assert_eq!(cache_here.lock_entry(&spec("acme/tiny")).unwrap(), entry);
    let mut lock = ModelsLock::default();
    lock.insert(&spec("acme/tiny"), entry.clone());
    let changed: BTreeMap<String, Vec<u8>> = sample::with_weights(sample::safetensors(3));
    hub.change("acme/tiny", |repo| repo.commit(NEXT, changed).branch("main", NEXT));
    let locked = cache(CacheConfig { lock: Some(lock), ..config(there.path(), &hub.url()) });
    let files = locked.fetch(&spec("acme/tiny"), &|_| ()).await.unwrap();
    assert_eq!(files.revision.as_deref(), Some(COMMIT), "whatever the branch is now");
    assert_eq!(locked.lock_entry(&spec(&format!("acme/tiny@{COMMIT}"))).unwrap(), entry);
}
