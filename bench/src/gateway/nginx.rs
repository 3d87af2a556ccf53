//! nginx as a proxy before simulated servers: the peer, set up as one would for ComfyUI and in its favour (kept
//! connections to the servers, no log, nothing written to files).

use std::fmt::Write as _;
use std::fs::write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::{Program, free_addresses};
use crate::stage::{self, Servers};
use crate::usage;

#[derive(Debug)]
pub(super) struct Nginx {
    program: Program,
    /// One for each server.
    pub(super) addresses: Vec<SocketAddr>,
    // After the program, which has its configuration there.
    _folder: TempDir,
}

impl Nginx {
    pub(super) fn start(nginx: &Path, servers: &Servers) -> Result<Self> {
        ensure!(
            nginx.is_file(),
            "there is no {}: install Debian's package nginx, or take that program out of it as .ci/long does, and name it \
             with --nginx",
            nginx.display(),
        );
        let folder = tempfile::tempdir().context("make a directory for nginx")?;
        let addresses = free_addresses(servers.comfy.len())?;
        let first = *addresses.first().context("no server was started")?;
        let path = folder.path().join("nginx.conf");
        let text = configuration(folder.path(), servers, &addresses)?;
        write(&path, text).with_context(|| format!("write {}", path.display()))?;
        let mut command = Command::new(nginx);
        command.arg("-p").arg(folder.path()).arg("-c").arg(&path).args(["-e", "stderr"]);
        let program = Program::start(command, first, "/queue")?;
        Ok(Self { program, addresses, _folder: folder })
    }

    /// The process and its workers.
    pub(super) fn processes(&self) -> Result<Vec<u32>> {
        usage::family(self.program.pid())
    }
}

fn configuration(folder: &Path, servers: &Servers, addresses: &[SocketAddr]) -> Result<String> {
    let folder = folder.display();
    let mut text = format!(
        "daemon off;\nworker_processes 2;\nworker_rlimit_nofile 16384;\npid {folder}/pid;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n\
         access_log off;\n\
         client_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\nfastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\n\
         client_max_body_size 100m;\nclient_body_buffer_size 1m;\n\
         keepalive_requests 1000000;\n\
         proxy_http_version 1.1;\nproxy_set_header Host $http_host;\nproxy_max_temp_file_size 0;\n\
         map $http_upgrade $connection_to {{ default upgrade; '' ''; }}\n\
         proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection $connection_to;\n\
         proxy_read_timeout 600s;\n",
    );
    for (index, (server, address)) in servers.comfy.iter().zip(addresses).enumerate() {
        let to = stage::address(server)?;
        writeln!(
            text,
            "upstream s{index} {{ server {to}; keepalive 128; keepalive_requests 1000000; }}\n\
             server {{ listen {address} backlog=1024; location / {{ proxy_pass http://s{index}; }} }}"
        )
        .context("word nginx's configuration")?;
    }
    text.push_str("}\n");
    Ok(text)
}
