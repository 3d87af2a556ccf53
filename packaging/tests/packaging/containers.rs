//! The container images: what is in them, and that their programs run in them. Each is built from its Containerfile as a person
//! builds it; its program is started by what the image says, as a container runtime does.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use sim::outside::{Outside, trial};
use tempfile::TempDir;

use super::built::{Running, program, root};

/// What the programs are linked to.
const LIBRARIES: [&str; 3] = ["libc.so.6", "libgcc_s.so.1", "libm.so.6"];
/// What NVIDIA's library is linked to besides.
const OF_THE_DRIVER: [&str; 3] = ["libdl.so.2", "libpthread.so.0", "librt.so.1"];

const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// `$1` the root, `$2` the image's volume or nothing; then its environment, and what is started: with a root that nobody can
/// write, but for the volume as it is in the image.
const START: &str = r#"
set -e
root=$1 volume=$2
shift 2
mount --bind "$root" "$root"
[[ -z $volume ]] || mount --bind "$root$volume" "$root$volume"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
exec env --ignore-environment "$@"
"#;

pub(crate) fn trials() -> Vec<Trial> {
    let runs = |name: &str, built: &'static str| {
        trial(&format!("containers::{name}"), Outside::Images, move |_| starts(&program(built)))
    };
    vec![
        Trial::test("containers::an_image_has_its_program_what_that_is_linked_to_and_no_more", || {
            has(&program("orchestrator-agent"), &[&LIBRARIES[..], &OF_THE_DRIVER].concat(), &[])?;
            has(&program("orchestrator-collector"), &LIBRARIES, &[AUTHORITIES])
        }),
        runs("an_agent_runs_without_rights_and_writes_nothing", "orchestrator-agent"),
        runs("a_collector_runs_without_rights_and_writes_its_state_alone", "orchestrator-collector"),
        trial("containers::a_static_collector_needs_no_library", Outside::StaticCollector, |found| {
            let program = found.program().ok_or("no program")?;
            has(program, &[], &[AUTHORITIES])?;
            starts(program)
        }),
    ]
}

/// `root` in it is the folder that an image is built from.
fn laid_out(program: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = Command::new(root().join("packaging/container/layout"));
    output_of(layout.arg(program).arg(folder.path().join("root")));
    folder
}

fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn has(program: &Path, libraries: &[&str], files: &[&str]) -> Result<(), Failed> {
    let folder = laid_out(program);
    let found = output_of(
        Command::new("find")
            .args([".", "-type", "f", "-printf", "%P\\n"])
            .current_dir(folder.path().join("root")),
    );
    let (linked, other): (BTreeSet<_>, BTreeSet<_>) = found.lines().partition(|file| file.starts_with("lib"));
    let linked: BTreeSet<_> =
        linked.iter().filter_map(|file| Path::new(file).file_name()?.to_str()).collect();
    let program = format!("usr/bin/{}", name(program));
    let expected: BTreeSet<_> =
        files.iter().copied().chain([program.as_str(), "etc/group", "etc/passwd"]).collect();
    assert_eq!(other, expected);
    let (loaders, linked): (BTreeSet<_>, BTreeSet<_>) =
        linked.iter().partition(|file| file.starts_with("ld-linux"));
    let is_linked = usize::from(!libraries.is_empty());
    assert_eq!((loaders.len(), linked), (is_linked, libraries.iter().copied().collect()));
    Ok(())
}

fn name(program: &Path) -> &str {
    program.file_name().unwrap().to_str().unwrap()
}

/// An image that was built, and a container's root made of it.
struct Image {
    /// Its settings by the names of Docker's image format: `User`, `Env`, `Entrypoint`, `Volumes`.
    config: Value,
    root: PathBuf,
    /// The store that both are in.
    _folder: TempDir,
}

impl Image {
    fn build(program: &Path) -> Self {
        let (folder, name) = (laid_out(program), name(program));
        // Else it makes /etc/cni.
        let settings = folder.path().join("containers.conf");
        let networks = folder.path().join("networks");
        fs::write(&settings, format!("[network]\nnetwork_config_dir = {networks:?}\n")).unwrap();
        let buildah = |arguments: &[&str]| {
            let mut command = Command::new("buildah");
            command.env("CONTAINERS_CONF", &settings);
            for (flag, place) in [("--root", "images"), ("--runroot", "run")] {
                command.arg(flag).arg(folder.path().join(place));
            }
            // Plain folders, which go with the test's own.
            output_of(command.args(["--storage-driver", "vfs"]).args(arguments).current_dir(folder.path()))
        };
        let file = root().join(format!("packaging/container/{name}.Containerfile"));
        let image = format!("localhost/{name}");
        buildah(&["build", "--isolation=chroot", "--file", file.to_str().unwrap(), "--tag", &image, "root"]);
        let about: Value = serde_json::from_str(&buildah(&["inspect", "--type=image", &image])).unwrap();
        buildah(&["from", "--name=container", &image]);
        let root = buildah(&["mount", "container"]).trim_end().into();
        Self { config: about["Docker"]["config"].clone(), root, _folder: folder }
    }

    fn words<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.config[key].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    fn volume(&self) -> Option<&str> {
        self.config["Volumes"].as_object()?.keys().next().map(String::as_str)
    }
}

fn starts(program: &Path) -> Result<(), Failed> {
    let image = Image::build(program);
    assert_eq!((&image.config["User"], image.words("Entrypoint").count()), (&"65532:65532".into(), 1));
    // What a container runtime makes, and what a person mounts: settings that say where it listens.
    fs::create_dir(image.root.join("proc"))?;
    fs::create_dir(image.root.join("dev"))?;
    let settings = image.root.join("etc").join(name(program));
    fs::create_dir(&settings)?;
    if let Some(volume) = image.volume() {
        let state = fs::metadata(image.root.join(volume.trim_start_matches('/')))?;
        assert_eq!((state.uid(), state.mode() & 0o777), (65532, 0o700));
        fs::write(settings.join("collector.toml"), "listen = \"127.0.0.1:0\"\n")?;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-c", START, "start"]).arg(&image.root);
    command.arg(image.volume().unwrap_or_default()).args(image.words("Env"));
    if image.volume().is_none() {
        command.arg("ORCHESTRATOR_AGENT_LISTEN=127.0.0.1:0");
    }
    command.args(["chroot", "--userspec=65532:65532"]).arg(&image.root).args(image.words("Entrypoint"));
    let mut running = Running(command.stderr(Stdio::piped()).spawn()?);
    let lines = BufReader::new(running.0.stderr.take().ok_or("no error output")?).lines();
    let mut said = String::new();
    let address = lines.map_while(Result::ok).find_map(|line| {
        said += &format!("{line}\n");
        Some(line.split_once("listening on http://")?.1.split(' ').next()?.to_owned())
    });
    match address.map(|address| ask(&address)) {
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
