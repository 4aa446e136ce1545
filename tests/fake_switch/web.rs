//! An HTTP server of one document that keeps the requests it gets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An HTTP server of one document that keeps the requests it gets.
pub(crate) struct Web {
    pub(crate) url: String,
    requests: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
    answer: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Web {
    pub(crate) async fn serving(document: &str) -> Self {
        Web::answering(&ok(document)).await
    }

    /// Answers every request with these bytes and closes; with no bytes it never answers.
    pub(crate) async fn answering(answer: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/xml", listener.local_addr().unwrap());
        let requests = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let answer = std::sync::Arc::new(std::sync::Mutex::new(answer.to_owned()));
        let (kept, given) = (requests.clone(), answer.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !is_whole_request(&request) {
                    if stream.read_buf(&mut request).await.unwrap() == 0 {
                        break;
                    }
                }
                kept.lock().unwrap().push(String::from_utf8(request).unwrap());
                let answer: String = given.lock().unwrap().clone();
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Web { url, requests, answer }
    }

    pub(crate) fn answer(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap());
    }

    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn is_whole_request(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// A document as trunkd serves them
pub(crate) fn document(configuration: &str) -> String {
    format!(
        "<document type=\"freeswitch/xml\">\n<section name=\"configuration\">\n{configuration}</section>\n</document>\n"
    )
}

pub(crate) const NOT_FOUND: &str = "<document type=\"freeswitch/xml\">\n<section name=\"result\">\n\
                         <result status=\"not found\"/>\n</section>\n</document>\n";
