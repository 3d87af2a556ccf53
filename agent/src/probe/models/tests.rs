use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;

use super::tree::{FileState, FolderState, Kind};
use super::*;
use crate::limits::MODELS_DEPTH;

/// The machine's filesystems, with a note of what they were asked.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Questions>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Questions {
    listings: usize,
    files: usize,
}

impl Watched {
    fn take(&self) -> Questions {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Tree for Watched {
    fn folder(&self, path: &Path) -> io::Result<FolderState> {
        Os.folder(path)
    }

    fn list(&self, path: &Path, take: &mut dyn FnMut(OsString, Kind) -> bool) -> io::Result<()> {
        self.0.lock().unwrap().listings += 1;
        Os.list(path, take)
    }

    fn file(&self, path: &Path) -> io::Result<FileState> {
        self.0.lock().unwrap().files += 1;
        Os.file(path)
    }
}

fn write(root: &Path, file: &str, bytes: usize) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, vec![0; bytes]).unwrap();
}

fn set_modified(path: &Path, at: SystemTime) {
    File::open(path).unwrap().set_modified(at).unwrap();
}

fn inventory(roots: &[&Path]) -> Inventory<Os> {
    let roots: Vec<PathBuf> = roots.iter().map(|root| root.to_path_buf()).collect();
    Inventory::new(Os, &roots, MODEL_FILES)
}

fn told(models: &Models) -> Vec<(String, u64)> {
    let files = models.files.iter();
    files.map(|file| (format!("{}|{}", file.folder, file.name), file.bytes.unwrap())).collect()
}

fn look(roots: &[&Path]) -> Vec<(String, u64)> {
    told(&inventory(roots).look(SystemTime::now()).unwrap())
}

fn named(files: &[(&str, u64)]) -> Vec<(String, u64)> {
    files.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect()
}

#[test]
fn files_are_told_by_kind_and_by_the_name_that_a_prompt_uses() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        "checkpoints/base.safetensors",
        "checkpoints/sdxl/turbo/x.CKPT",
        "loras/a b.sft",
        "unet/flux.gguf",
        "vae/.hidden.pt",
        "onnx/m.onnx",
    ];
    let others = [
        "top.safetensors",
        "checkpoints/notes.txt",
        "checkpoints/.cache/x.bin",
        ".git/lfs/y.bin",
        "vae/.safetensors",
        "vae/put_vae_here",
    ];
    for (bytes, file) in files.iter().chain(&others).enumerate() {
        write(folder.path(), file, bytes);
    }
    let expected = [
        ("checkpoints|base.safetensors", 0),
        ("checkpoints|sdxl/turbo/x.CKPT", 1),
        ("loras|a b.sft", 2),
        ("onnx|m.onnx", 5),
        ("unet|flux.gguf", 3),
        ("vae|.hidden.pt", 4),
    ];
    assert_eq!(look(&[folder.path()]), named(&expected));
}

#[test]
fn links_are_followed_and_loops_of_links_end() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(elsewhere.path(), "blob", 7);
    write(elsewhere.path(), "shared/l.safetensors", 8);
    write(folder.path(), "checkpoints/own.pt", 9);
    let links = [
        (elsewhere.path().join("blob"), "checkpoints/linked.safetensors"),
        (elsewhere.path().join("shared"), "loras"),
        (folder.path().to_owned(), "checkpoints/loop"),
        (folder.path().join("checkpoints"), "checkpoints/self"),
        (elsewhere.path().join("nothing"), "checkpoints/dead.pt"),
    ];
    for (target, link) in links {
        symlink(target, folder.path().join(link)).unwrap();
    }
    let expected =
        [("checkpoints|linked.safetensors", 7), ("checkpoints|own.pt", 9), ("loras|l.safetensors", 8)];
    assert_eq!(look(&[folder.path()]), named(&expected));
}

#[test]
fn of_two_files_with_one_name_the_first_folders_counts() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(first.path(), "vae/a.pt", 1);
    write(second.path(), "vae/a.pt", 2);
    write(second.path(), "vae/b.pt", 3);
    assert_eq!(look(&[first.path(), second.path()]), named(&[("vae|a.pt", 1), ("vae|b.pt", 3)]));
}

#[test]
fn a_folder_that_has_not_changed_is_not_listed_again_nor_are_its_old_files_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (root, now) = (folder.path(), SystemTime::now());
    let long_ago = now - 2 * MODELS_PERIOD * 60;
    write(root, "vae/old.pt", 1);
    write(root, "vae/new.pt", 2);
    set_modified(&root.join("vae/old.pt"), long_ago);
    for path in [root.join("vae"), root.to_owned()] {
        set_modified(&path, long_ago);
    }
    let tree = Watched::default();
    let mut inventory = Inventory::new(tree.clone(), &[root.to_owned()], MODEL_FILES);
    let first = inventory.look(now).unwrap();
    assert_eq!(tree.take(), Questions { listings: 2, files: 2 });

    let again = inventory.look(now + MODELS_PERIOD).unwrap();
    assert_eq!(tree.take(), Questions { listings: 0, files: 1 });
    assert!(Arc::ptr_eq(&first.files, &again.files));

    // The new file grows in place; another comes, so that its folder changes.
    write(root, "vae/new.pt", 20);
    write(root, "vae/more.pt", 3);
    let later = inventory.look(now + 2 * MODELS_PERIOD).unwrap();
    assert_eq!(tree.take(), Questions { listings: 1, files: 3 });
    assert_eq!(told(&later), named(&[("vae|more.pt", 3), ("vae|new.pt", 20), ("vae|old.pt", 1)]));
}

#[test]
fn a_listing_right_after_a_change_or_from_long_ago_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (root, now) = (folder.path(), SystemTime::now());
    let second = Duration::from_secs(1);
    let cases =
        [(second, MODELS_PERIOD, 1), (3 * second, MODELS_PERIOD, 0), (3 * second, 60 * MODELS_PERIOD, 1)];
    for (age_when_listed, pause, listings) in cases {
        set_modified(root, now - age_when_listed);
        let tree = Watched::default();
        let mut inventory = Inventory::new(tree.clone(), &[root.to_owned()], MODEL_FILES);
        inventory.look(now).unwrap();
        tree.take();
        inventory.look(now + pause).unwrap();
        assert_eq!(
            tree.take().listings,
            listings,
            "listed {age_when_listed:?} after a change, {pause:?} ago"
        );
    }
}

#[test]
fn what_is_gone_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "vae/a.pt", 1);
    write(folder.path(), "loras/b.pt", 2);
    let mut inventory = inventory(&[folder.path()]);
    assert_eq!(inventory.look(SystemTime::now()).unwrap().files.len(), 2);
    fs::remove_dir_all(folder.path().join("vae")).unwrap();
    assert_eq!(told(&inventory.look(SystemTime::now()).unwrap()), named(&[("loras|b.pt", 2)]));
}

#[test]
fn at_the_bound_the_inventory_says_that_it_is_not_whole() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["vae/a.pt", "vae/b.pt", "vae/c.pt"] {
        write(folder.path(), file, 1);
    }
    for (bound, truncated) in [(2, Some(true)), (3, None)] {
        let models = Inventory::new(Os, &[folder.path().to_owned()], bound).look(SystemTime::now()).unwrap();
        assert_eq!((models.files.len(), models.truncated), (bound, truncated));
    }
}

#[test]
fn what_lies_too_deep_is_left_out_and_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let below = |depth: usize| format!("{}/x.pt", vec!["d"; depth].join("/"));
    write(folder.path(), &below(MODELS_DEPTH), 1);
    assert_eq!(inventory(&[folder.path()]).look(SystemTime::now()).unwrap().truncated, None);
    write(folder.path(), &below(MODELS_DEPTH + 1), 1);
    let models = inventory(&[folder.path()]).look(SystemTime::now()).unwrap();
    assert_eq!((models.files.len(), models.truncated), (1, Some(true)));
}

#[test]
fn names_that_no_prompt_can_write_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "vae/a.pt", 1);
    fs::write(folder.path().join("vae").join(OsString::from_vec(b"\xff.pt".to_vec())), "").unwrap();
    let mut inventory = inventory(&[folder.path()]);
    assert_eq!(told(&inventory.look(SystemTime::now()).unwrap()), named(&[("vae|a.pt", 1)]));
    assert!(inventory.told_of_names);
}

#[test]
fn a_folder_that_cannot_be_read_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "vae/a.pt", 1);
    let missing = folder.path().join("missing");
    assert_eq!(look(&[&missing, folder.path()]), named(&[("vae|a.pt", 1)]));

    let failure = inventory(&[&missing]).look(SystemTime::now()).unwrap_err();
    assert_eq!(failure.reason, "io");
    assert!(failure.message.contains(missing.to_str().unwrap()), "{failure}");
}
