//! Answers that take longer than a connection lives.

use tokio::sync::{Semaphore, mpsc};

use super::*;

/// Answers when it is let, and says what begins and how it ends.
struct Slow {
    address: SocketAddr,
    connections: Connections,
    lets: Arc<Semaphore>,
    told: mpsc::UnboundedReceiver<&'static str>,
    stop: CancellationToken,
}

/// Says how the answer ended, also when it is dropped.
struct Ending(mpsc::UnboundedSender<&'static str>, &'static str);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

impl Slow {
    fn start(limits: Limits, work: Duration) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap().with_work(work);
        let (address, connections, stop) =
            (listener.address(), listener.connections(), CancellationToken::new());
        let (tell, told) = mpsc::unbounded_channel();
        let lets = Arc::new(Semaphore::new(0));
        let answer = {
            let lets = Arc::clone(&lets);
            move |_: Request<Incoming>, _: Ends| {
                let (lets, tell) = (Arc::clone(&lets), tell.clone());
                async move {
                    tell.send("begun").unwrap();
                    let mut ending = Ending(tell, "dropped");
                    lets.acquire().await.unwrap().forget();
                    ending.1 = "made";
                    Response::new(Full::new(Bytes::from("done")))
                }
            }
        };
        tokio::spawn(listener.serve(answer, stop.clone()));
        Self { address, connections, lets, told, stop }
    }

    async fn says(&mut self, what: &str) {
        let told = timeout(Duration::from_secs(20), self.told.recv()).await.expect("nothing happens");
        assert_eq!(told, Some(what));
    }

    async fn ask(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        stream
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Long enough for a request to arrive, on a busy machine too.
const LIFE: Duration = Duration::from_secs(1);
const SHORT: Limits = Limits { life: LIFE, ..LIMITS };

#[tokio::test]
async fn an_answer_comes_to_its_end_although_its_connection_is_over_age() {
    let mut slow = Slow::start(SHORT, Duration::from_secs(60));
    let mut idle = TcpStream::connect(slow.address).await.unwrap();
    let mut asked = slow.ask().await;
    slow.says("begun").await;
    // A connection of the same age, on which nothing is being answered.
    ended(&mut idle).await;
    let mut young = TcpStream::connect(slow.address).await.unwrap();
    ended(&mut young).await;
    slow.lets.add_permits(1);
    slow.says("made").await;
    let mut answer = String::new();
    timeout(Duration::from_secs(20), asked.read_to_string(&mut answer))
        .await
        .expect("it stays open")
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
}

#[tokio::test]
async fn work_has_an_end_too() {
    let mut slow = Slow::start(SHORT, 3 * LIFE);
    let began = Instant::now();
    let mut asked = slow.ask().await;
    slow.says("begun").await;
    ended(&mut asked).await;
    assert!(began.elapsed() >= 3 * LIFE);
    slow.says("dropped").await;
}

#[tokio::test]
async fn without_work_an_answer_ends_with_its_connection() {
    let mut slow = Slow::start(SHORT, Duration::ZERO);
    let mut asked = slow.ask().await;
    slow.says("begun").await;
    ended(&mut asked).await;
    slow.says("dropped").await;
}

#[tokio::test]
async fn an_answer_whose_peer_goes_away_is_dropped() {
    let mut slow = Slow::start(LIMITS, Duration::from_secs(60));
    let asked = slow.ask().await;
    slow.says("begun").await;
    assert_eq!(slow.connections.open(), 1);
    drop(asked);
    slow.says("dropped").await;
    let closed = async {
        while slow.connections.open() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), closed).await.expect("its place is not given back");
}

#[tokio::test]
async fn stopping_does_not_wait_for_all_the_work() {
    let mut slow = Slow::start(SHORT, Duration::from_secs(600));
    let mut asked = slow.ask().await;
    let mut idle = TcpStream::connect(slow.address).await.unwrap();
    slow.says("begun").await;
    // From here on the connection lives for its answer only.
    ended(&mut idle).await;
    slow.stop.cancel();
    ended(&mut asked).await;
    slow.says("dropped").await;
}
