//! The container images: what is in them, and that their programs run in them. Nothing builds an image here; what an image
//! would have is laid out, and a program is started in it as a container runtime does.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::{Failed, Trial};
use sim::outside::{Outside, trial};
use tempfile::TempDir;

use super::built::{program, root};

/// What the programs are linked to.
const LIBRARIES: [&str; 3] = ["libc.so.6", "libgcc_s.so.1", "libm.so.6"];
/// What NVIDIA's library is linked to besides.
const OF_THE_DRIVER: [&str; 3] = ["libdl.so.2", "libpthread.so.0", "librt.so.1"];

/// `$1` the laid out root, then the program and its arguments: a root that nobody can write, but for the state.
const START: &str = r#"
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
[[ ! -d $1/var ]] || mount -t tmpfs -o uid=65532,mode=0700 tmpfs "$1/var/lib/orchestrator-collector"
exec chroot --userspec=65532:65532 "$@"
"#;

pub(crate) fn trials() -> Vec<Trial> {
    let in_namespaces = |name: &str, program: &'static str| {
        trial(&format!("containers::{name}"), Outside::Namespaces, move |_| runs(program))
    };
    vec![
        Trial::test("containers::an_image_has_its_program_what_that_is_linked_to_and_no_more", || {
            has("orchestrator-agent", &[&LIBRARIES[..], &OF_THE_DRIVER].concat(), &[])?;
            has("orchestrator-collector", &LIBRARIES, &["etc/ssl/certs/ca-certificates.crt"])
        }),
        in_namespaces("an_agent_runs_without_rights_and_writes_nothing", "orchestrator-agent"),
        in_namespaces("a_collector_runs_without_rights_and_writes_its_state_alone", "orchestrator-collector"),
    ]
}

fn laid_out(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Command::new(root().join("packaging/container/layout"));
    let output = layout.arg(program(name)).arg(folder.path().join("root")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

fn has(name: &str, libraries: &[&str], files: &[&str]) -> Result<(), Failed> {
    let folder = laid_out(name);
    let found = Command::new("find")
        .args([".", "-type", "f", "-printf", "%P\\n"])
        .current_dir(folder.path().join("root"))
        .output()?;
    let found = String::from_utf8(found.stdout)?;
    let (linked, other): (BTreeSet<_>, BTreeSet<_>) = found.lines().partition(|file| file.starts_with("lib"));
    let linked: BTreeSet<_> =
        linked.iter().filter_map(|file| Path::new(file).file_name()?.to_str()).collect();
    let program = format!("usr/bin/{name}");
    let expected: BTreeSet<_> =
        files.iter().copied().chain([program.as_str(), "etc/group", "etc/passwd"]).collect();
    assert_eq!(other, expected);
    let (loaders, linked): (BTreeSet<_>, BTreeSet<_>) =
        linked.iter().partition(|file| file.starts_with("ld-linux"));
    assert_eq!((loaders.len(), linked), (1, libraries.iter().copied().collect()));
    Ok(())
}

fn runs(name: &str) -> Result<(), Failed> {
    let folder = laid_out(name);
    let image = folder.path().join("root");
    // A container runtime makes it where it is not.
    fs::create_dir(image.join("proc"))?;
    let mut running = Command::new("unshare")
        .args(["--mount", "bash", "-c", START, "start"])
        .arg(&image)
        .arg(format!("/usr/bin/{name}"))
        .args(["--listen", "127.0.0.1:0"])
        .args(if name.ends_with("collector") {
            &["--state-directory", "/var/lib/orchestrator-collector"][..]
        } else {
            &[]
        })
        .stderr(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(running.stderr.take().ok_or("no error output")?).lines();
    let mut said = String::new();
    let address = lines.map_while(Result::ok).find_map(|line| {
        said += &format!("{line}\n");
        Some(line.split_once("listening on http://")?.1.split(' ').next()?.to_owned())
    });
    let answer = address.map(|address| ask(&address));
    running.kill()?;
    running.wait()?;
    match answer {
        Some(Ok(answer)) if answer.starts_with("HTTP/1.0 200 ") => Ok(()),
        other => Err(format!("{other:?}: {said}").into()),
    }
}

fn ask(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
