//! Making system calls of a running server fail, with `strace`'s fault injection.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::disk::is_root;
use crate::support::Server;

/// A tracer that is attached; dropping it detaches and lets the server go on.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
}

impl Tracer {
    /// Attaches with these arguments; `None` where this user may not.
    pub fn attach(server: &Server, args: &[&str]) -> Option<Self> {
        let mut child = Command::new("strace")
            .args(["-f", "-p", &server.pid().to_string()])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is installed");
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while stderr.read_line(&mut said).unwrap() > 0 {
            if said.contains("attached") {
                // Whoever writes to a pipe that nobody reads would stop in the end.
                std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
                return Some(Self { child });
            }
        }
        let status = child.wait().unwrap();
        assert!(!is_root(), "root may trace a process of its own ({status}): {said}");
        println!("SKIPPED: this user may not trace a process, so failing system calls were not tested");
        None
    }

    /// Attaches so that these calls fail; `how` is the `error=` and `when=` part of an injection.
    pub fn inject(server: &Server, calls: &str, how: &str) -> Option<Self> {
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:{how}"));
        Self::attach(server, &["-o", "/dev/null", "-e", &trace, "-e", &inject])
    }

    /// Attaches so that these calls fail on files of the data folder, and on nothing else.
    pub fn inject_on_data(server: &Server, calls: &str, how: &str) -> Option<Self> {
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:{how}"));
        let files: Vec<String> = std::fs::read_dir(server.data())
            .unwrap()
            .map(|file| file.unwrap().path().to_str().unwrap().to_owned())
            .filter(|path| !path.ends_with("-shm"))
            .collect();
        let mut args = vec!["-o", "/dev/null", "-e", &trace, "-e", &inject];
        for file in &files {
            args.extend(["-P", file]);
        }
        Self::attach(server, &args)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}
