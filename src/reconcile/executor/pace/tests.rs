use super::*;

#[tokio::test(start_paused = true)]
async fn a_burst_starts_without_delay_and_the_rest_at_the_rate() {
    let (mut pace, began) = (Pace::new(10), Instant::now());
    for _ in 0..10 {
        pace.take(1).await;
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    for _ in 0..20 {
        pace.take(1).await;
    }
    let elapsed = began.elapsed();
    assert!(elapsed >= Duration::from_secs(2), "{elapsed:?}");
    assert!(elapsed < Duration::from_millis(2100), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_second_saves_no_more_than_one_burst() {
    let (mut pace, _) = (Pace::new(10), sleep(Duration::from_secs(60)).await);
    let began = Instant::now();
    pace.take(10).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    pace.take(10).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
}
