//! What a model is locked to.

use model_cache::{CacheConfig, CacheError, ModelCache, ModelsLock, Network};

use super::handmade::{Handmade, NEW, OLD, gguf, spec};

#[test]
fn a_model_resolves_under_its_own_lock_and_no_other_does() {
    let handmade = Handmade::with_two_versions();
    handmade.version("acme/tiny", "3333333333333333333333333333333333333333", &vec![("a.gguf", gguf())]);
    let entry = handmade.cache().lock_entry(&spec("acme/tiny")).unwrap();
    assert_eq!((entry.commit.as_str(), entry.files.len()), (NEW, 3));
    let mut lock = ModelsLock::default();
    lock.insert(&spec("acme/tiny"), entry);
    let lock = ModelsLock::parse(&lock.to_text()).unwrap();
    let locked = || {
        let config =
            CacheConfig { network: Network::Offline, lock: Some(lock.clone()), ..CacheConfig::new(handmade.path()) };
        ModelCache::new(config).unwrap()
    };
    assert_eq!(locked().resolve(&spec("acme/tiny")).unwrap().revision.as_deref(), Some(NEW));
    handmade.refer("acme/tiny", "main", OLD);
    assert_eq!(locked().resolve(&spec("acme/tiny")).unwrap().revision.as_deref(), Some(NEW), "the branch moved");
    assert_eq!(locked().lock_entry(&spec("acme/tiny")).unwrap().commit, OLD, "to lock anew is to look anew");
    assert!(matches!(locked().resolve(&spec("acme/other")), Err(CacheError::LockMismatch { .. })));
}
