//! What a pool's annotations mean.

use api::annotations::PoolSettings;
use serde_json::{Value, json};

use crate::{pool, secs, table};

#[test]
fn annotations_say_which_pool_serves_whom_and_what_it_keeps() {
    let settings = |annotations: Value| {
        read_as!(CiliumLoadBalancerIPPool, annotated(&annotations))
            .settings
            .clone()
    };

    assert_eq!(settings(json!({"other/one": "x"})), PoolSettings::default());
    assert_eq!(
        settings(json!({
            "sluicegate.io/pool-priority": "-7",
            "sluicegate.io/namespace-quota": "team-a=10, team-b = 0,*=5,",
            "sluicegate.io/reserve": "24h",
        })),
        PoolSettings {
            priority: -7,
            quotas: [("team-a".into(), 10), ("team-b".into(), 0)].into(),
            quota_of_others: Some(5),
            reserve: Some(secs(24 * 3600)),
        }
    );
}

#[test]
fn annotations_that_say_nothing_sensible_are_faults() {
    let at = |key: &str, value: &str| annotated(&json!({ key: value }));
    table(&[
        (
            at("sluicegate.io/pool-priority", "high"),
            &["metadata.annotations[\"sluicegate.io/pool-priority\"]: \"high\" is not a number"],
        ),
        (
            at("sluicegate.io/pool-priority", "1000001"),
            &[
                "metadata.annotations[\"sluicegate.io/pool-priority\"]: 1000001 is not between -1000000 and 1000000",
            ],
        ),
        (
            at("sluicegate.io/namespace-quota", "a=1,b,=2,c=-1,a=3"),
            &[
                "metadata.annotations[\"sluicegate.io/namespace-quota\"]: \"b\" is not a quota such as team-a=10 or *=5",
                "metadata.annotations[\"sluicegate.io/namespace-quota\"]: \"=2\" is not a quota such as team-a=10 or *=5",
                "metadata.annotations[\"sluicegate.io/namespace-quota\"]: \"c=-1\" is not a quota such as team-a=10 or *=5",
                "metadata.annotations[\"sluicegate.io/namespace-quota\"]: a is there twice",
            ],
        ),
        (
            at("sluicegate.io/reserve", "0s"),
            &[
                "metadata.annotations[\"sluicegate.io/reserve\"]: 0s is not between 1s and 31536000s",
            ],
        ),
        (
            at("sluicegate.io/reserv", "1h"),
            &[
                "metadata.annotations[\"sluicegate.io/reserv\"]: is not an annotation that Sluicegate knows",
            ],
        ),
    ]);
}

fn annotated(annotations: &Value) -> Value {
    let mut pool = pool(json!({"blocks": [{"cidr": "10.0.0.0/24"}]}));
    if let Some(Value::Object(metadata)) = pool.get_mut("metadata") {
        metadata.insert("annotations".to_owned(), annotations.clone());
    }
    pool
}
