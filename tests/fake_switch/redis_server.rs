//! The Redis of our tests.

use crate::support::redis::{Data, RedisServer};

async fn get(server: &RedisServer) -> Option<String> {
    let mut connection = server.connection().await;
    redis::cmd("GET").arg("k").query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn it_is_private_and_restarts_with_or_without_its_data() {
    let mut server = RedisServer::start_with_aof().await;
    let other = RedisServer::start().await;
    let mut connection = server.connection().await;
    redis::cmd("SET")
        .arg("k")
        .arg("v")
        .exec_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(get(&other).await, None);
    let port = server.port();
    server.restart(Data::Kept).await;
    assert_eq!((server.port(), get(&server).await.as_deref()), (port, Some("v")));
    server.restart(Data::Lost).await;
    assert_eq!(get(&server).await, None);
    server.kill();
    assert!(!server.is_running());
    assert!(tokio::net::TcpStream::connect(server.address()).await.is_err());
}

#[tokio::test]
async fn it_listens_on_a_socket_too_and_can_be_stopped() {
    let server = RedisServer::start_with(&["--requirepass", "s3cret"]).await;
    let client = redis::Client::open(format!("{}?pass=s3cret", server.socket_url())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("PING").exec_async(&mut connection).await.unwrap();
    server.sigstop();
    let ping = redis::cmd("PING");
    let asked = ping.exec_async(&mut connection);
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(100), asked)
            .await
            .is_err()
    );
    server.sigcont();
    redis::cmd("PING").exec_async(&mut connection).await.unwrap();
}

#[tokio::test]
async fn it_is_gone_with_its_value() {
    let server = RedisServer::start().await;
    let (address, socket) = (server.address(), server.socket_path());
    drop(server);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(!socket.exists());
}
