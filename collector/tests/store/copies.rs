//! What every store must do with copies of what jobs have made.

use std::sync::Arc;

use collector::clock::UnixMillis;
use collector::queue::{FileCopy, HeldCopies, Made, Store, WaitingCopies, Wanted, WantedCopy, Write};
use comfyui::api::FileRef;

/// As clients name it.
fn made_file(name: &str) -> FileRef {
    FileRef { filename: name.into(), subfolder: "a/x".into(), kind: "output".into() }
}

fn copy(content: &str, at: u64) -> FileCopy {
    let (content, copied_at) = (content.to_owned(), UnixMillis(at));
    FileCopy { content, sha256: "ab".into(), size_bytes: 7, etag: Some("\"e\"".into()), copied_at }
}

async fn want(store: &Arc<dyn Store>, names: &[&str], at: u64) {
    let files = names.iter().map(|name| made_file(name)).collect();
    let made = Made { files, found: Vec::new(), at: UnixMillis(at), wanted: Wanted::All };
    store.commit(&[Write::Archive(made)]).await.unwrap();
}

async fn wanted(store: &Arc<dyn Store>, now: u64) -> Vec<WantedCopy> {
    store.wanted_copies(UnixMillis(now)).await.unwrap()
}

pub(crate) async fn a_copy_is_wanted_made_once_more_and_forgotten(store: &Arc<dyn Store>) {
    want(store, &["1.png", "2.png"], 5).await;
    let [first, second] = <[WantedCopy; 2]>::try_from(wanted(store, 5).await).unwrap();
    let (a, expected) = ("a".parse().unwrap(), made_file("1.png"));
    assert_eq!((&first.file, &first.backend, first.wanted_at), (&expected, &a, UnixMillis(5)));
    assert_eq!(wanted(store, 4).await, []);
    assert!(store.keep_copy(&first, &copy("one", 6)).await.unwrap());
    assert_eq!(store.copy_of(&first.file).await.unwrap(), Some(copy("one", 6)));
    store.postpone_copy(&second, UnixMillis(20)).await.unwrap();
    assert_eq!(wanted(store, 19).await, []);
    let waiting = WaitingCopies { files: 1, since: Some(UnixMillis(5)) };
    assert_eq!(store.waiting_copies().await.unwrap(), waiting);
    // Made anew: what was copied is shown no more, and its own copying is too late.
    want(store, &["1.png"], 7).await;
    assert_eq!(store.copy_of(&first.file).await.unwrap(), None);
    let again = wanted(store, 7).await.remove(0);
    assert_eq!((again.earlier.as_ref(), again.wants), (Some(&copy("one", 6)), first.wants + 1));
    assert!(!store.keep_copy(&first, &copy("late", 8)).await.unwrap());
    assert!(!store.forget_copy(&first.file, &copy("one", 6)).await.unwrap());
    assert!(store.keep_copy(&again, &copy("two", 9)).await.unwrap());
    assert!(!store.keep_copy(&again, &copy("twice", 9)).await.unwrap());
    // All of a backend that is down.
    want(store, &["2.png", "3.png"], 10).await;
    store.postpone_copies(&a, UnixMillis(30)).await.unwrap();
    assert_eq!((wanted(store, 29).await.len(), wanted(store, 30).await.len()), (0, 2));
    for wanted in wanted(store, 30).await {
        assert!(store.give_up_copy(&wanted).await.unwrap());
        assert!(!store.give_up_copy(&wanted).await.unwrap());
    }
    // What a backend found again, and what ends while nobody copies.
    let found = Made {
        files: Vec::new(),
        found: vec![first.file.clone(), made_file("4.png")],
        at: UnixMillis(40),
        wanted: Wanted::All,
    };
    let known = Made {
        files: vec![first.file.clone(), made_file("5.png")],
        found: Vec::new(),
        at: UnixMillis(41),
        wanted: Wanted::Known,
    };
    store.commit(&[Write::Archive(found)]).await.unwrap();
    assert_eq!(store.copy_of(&first.file).await.unwrap(), Some(copy("two", 9)));
    assert_eq!(
        wanted(store, 41).await.iter().map(|wanted| &*wanted.file.filename).collect::<Vec<_>>(),
        ["4.png"]
    );
    store.commit(&[Write::Archive(known)]).await.unwrap();
    let [fourth, again] = <[WantedCopy; 2]>::try_from(wanted(store, 41).await).unwrap();
    assert!(store.give_up_copy(&fourth).await.unwrap());
    assert!(again.file == first.file && store.keep_copy(&again, &copy("two", 9)).await.unwrap());
    // Somebody has removed its content.
    store.want_copy_again(&first.file, &copy("two", 9), UnixMillis(50)).await.unwrap();
    assert_eq!(store.copy_of(&first.file).await.unwrap(), None);
    let again = wanted(store, 50).await.remove(0);
    assert!(store.keep_copy(&again, &copy("two", 9)).await.unwrap());
    assert_eq!(store.waiting_copies().await.unwrap(), WaitingCopies::default());
    assert_eq!(store.held_copies().await.unwrap(), HeldCopies { files: 1, bytes: 7 });
    assert_eq!(store.oldest_copies().await.unwrap(), [(first.file.clone(), copy("two", 9))]);
    assert!(store.forget_copy(&first.file, &copy("two", 9)).await.unwrap());
    assert_eq!(store.held_copies().await.unwrap(), HeldCopies::default());
}
