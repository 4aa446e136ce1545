//! The least that a server on actix-web does: `HttpServer` and `App` as they come, with one worker,
//! answer with bytes that are in memory. It is what trunkd's answers are compared with.
//!
//! The server is a process of its own, as trunkd is: the benchmark's own program, with [`FOLDER`]
//! in its environment.

use std::collections::HashMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use actix_web::http::KeepAlive;
use actix_web::{App, HttpResponse, HttpServer, web};
use tempfile::TempDir;

/// The folder with the answers; each has the name of its file as its path.
const FOLDER: &str = "BARE_SERVER_FOLDER";

/// Serves if this process was started as the server, and then does not return.
pub fn serve_if_asked() {
    if let Some(folder) = env::var_os(FOLDER) {
        serve(&folder);
    }
}

type Answers = HashMap<String, web::Bytes>;

fn serve(folder: &OsStr) -> ! {
    // The benchmark holds the other end of standard input, so the server never outlives it.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let answers = web::Data::new(read(Path::new(folder)));
    let app = move || {
        App::new()
            .app_data(answers.clone())
            .route("/{name}", web::post().to(answer))
    };
    let server = HttpServer::new(app).workers(1).keep_alive(KeepAlive::Disabled);
    let server = server.bind("127.0.0.1:0").expect("a free port");
    println!("{}", server.addrs()[0]);
    let ended = actix_web::rt::System::new().block_on(server.run());
    panic!("the server ended: {ended:?}");
}

fn read(folder: &Path) -> Answers {
    let files = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("a file"));
    let answer = |file: fs::DirEntry| {
        let bytes = fs::read(file.path()).expect("a file that can be read");
        (file.file_name().to_string_lossy().into_owned(), web::Bytes::from(bytes))
    };
    files.map(answer).collect()
}

/// Reads the form, as any server must, and answers.
async fn answer(name: web::Path<String>, _form: web::Bytes, answers: web::Data<Answers>) -> HttpResponse {
    let answer = &answers[name.as_str()];
    HttpResponse::Ok()
        .content_type("text/xml; charset=utf-8")
        .body(answer.clone())
}

/// The server, stopped when dropped.
pub struct BareServer {
    child: Child,
    pub address: SocketAddr,
    _folder: TempDir,
}

impl BareServer {
    /// Answers `POST /name` with the bytes of that name.
    pub fn start(answers: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, bytes) in answers {
            fs::write(folder.path().join(name), bytes).expect("a file");
        }
        let mut child = Command::new(env::current_exe().expect("the benchmark's own program"))
            .env(FOLDER, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        output.read_line(&mut line).expect("the server prints its address");
        let address = line.trim().parse().expect("an address");
        Self {
            child,
            address,
            _folder: folder,
        }
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
