//! Parts that several objects have.
#![expect(dead_code, reason = "only the schema of these types is used")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

/// Selects objects by their labels: all of the requirements must hold. An empty selector selects
/// everything.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", extend("x-kubernetes-map-type" = "atomic"))]
pub(super) struct LabelSelector {
    /// Labels that must be there with these values.
    match_labels: Option<BTreeMap<String, LabelValue>>,
    /// Requirements on labels.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    match_expressions: Option<Vec<Requirement>>,
}

/// The value of a label.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub(super) struct LabelValue(
    #[schemars(
        length(max = 63),
        regex(pattern = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
    )]
    String,
);

/// A requirement on one label.
#[derive(JsonSchema)]
pub(super) struct Requirement {
    /// The label's key.
    key: String,
    /// How the label and the values relate.
    operator: SelectorOperator,
    /// Must not be empty for In and NotIn, and must be for Exists and DoesNotExist.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    values: Option<Vec<String>>,
}

#[derive(JsonSchema)]
pub(super) enum SelectorOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// A statement about the object.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub(super) struct Condition {
    /// When the status last changed.
    #[schemars(extend("format" = "date-time"))]
    last_transition_time: String,
    /// A sentence for people.
    #[schemars(length(max = 32768))]
    message: String,
    /// The generation of the object that was looked at.
    #[schemars(range(min = 0))]
    observed_generation: Option<i64>,
    /// One word for programs.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    )]
    reason: String,
    /// Whether it holds.
    status: ConditionStatus,
    /// What the statement is about.
    #[schemars(
        length(max = 316),
        regex(
            pattern = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
        )
    )]
    r#type: String,
}

#[derive(JsonSchema)]
pub(super) enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// What is known of the object.
#[derive(JsonSchema)]
pub(super) struct ConditionsStatus {
    /// Statements about the object, one a type.
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"]
    ))]
    conditions: Option<Vec<Condition>>,
}
