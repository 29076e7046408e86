//! The numbers of `/metrics` in the form of OpenTelemetry. They are read from that very text, so that both say the same.

use indexmap::IndexMap;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
    number_data_point,
};

type Labels = Vec<(String, String)>;

/// A histogram's lines, gathered.
#[derive(Default)]
struct Gathered {
    sum: f64,
    count: u64,
    /// Upper bounds, with how many were no larger.
    buckets: Vec<(f64, u64)>,
}

/// One name with its lines.
#[derive(Default)]
struct Family<'a> {
    name: &'a str,
    help: String,
    kind: &'a str,
    numbers: Vec<(Labels, &'a str)>,
    histograms: IndexMap<Labels, Gathered>,
}

/// The metrics that an OpenMetrics text tells. `began` is when the counters stood at nothing, both in nanoseconds since
/// 1970. A counter has the name of its family, without `_total`.
pub fn metrics(text: &str, began: u64, now: u64) -> Vec<Metric> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            describe(rest, &mut families);
        } else if let (Some(family), Some((name, labels, value))) = (families.last_mut(), sample(line)) {
            family.take(name, labels, value);
        }
    }
    families.into_iter().map(|family| family.metric(began, now)).collect()
}

/// `HELP name words` or `TYPE name kind`; the first of them begins a family.
fn describe<'a>(rest: &'a str, families: &mut Vec<Family<'a>>) {
    let mut parts = rest.splitn(3, ' ');
    let (Some(word), Some(name), Some(said)) = (parts.next(), parts.next(), parts.next()) else { return };
    if families.last().is_none_or(|last| last.name != name) {
        families.push(Family { name, ..Family::default() });
    }
    let Some(family) = families.last_mut() else { return };
    match word {
        "HELP" => family.help = unescaped(said),
        "TYPE" => family.kind = said,
        _ => {}
    }
}

/// A line's name, labels and value.
fn sample(line: &str) -> Option<(&str, Labels, &str)> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let Some(mut rest) = rest.strip_prefix('{') else { return Some((name, Labels::new(), rest.trim())) };
    let mut labels = Labels::new();
    loop {
        if let Some(value) = rest.strip_prefix('}') {
            return Some((name, labels, value.trim()));
        }
        let (label, after) = rest.trim_start_matches(',').split_once("=\"")?;
        let close = closing_quote(after)?;
        let (value, after) = after.split_at(close);
        labels.push((label.to_owned(), unescaped(value)));
        rest = after.strip_prefix('"')?;
    }
}

/// Where the value ends: at the first quote that no backslash protects.
fn closing_quote(text: &str) -> Option<usize> {
    let mut protected = false;
    text.char_indices().find_map(|(place, char)| {
        let ends = char == '"' && !protected;
        protected = char == '\\' && !protected;
        ends.then_some(place)
    })
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            other => plain.push(other),
        }
    }
    plain
}

impl<'a> Family<'a> {
    fn take(&mut self, name: &str, mut labels: Labels, value: &'a str) {
        if self.kind != "histogram" {
            self.numbers.push((labels, value));
            return;
        }
        let bound = labels.iter().position(|(label, _)| label == "le").map(|place| labels.remove(place).1);
        let gathered = self.histograms.entry(labels).or_default();
        match (name.strip_prefix(self.name), bound) {
            (Some("_sum"), _) => gathered.sum = value.parse().unwrap_or_default(),
            (Some("_count"), _) => gathered.count = value.parse().unwrap_or_default(),
            (Some("_bucket"), Some(bound)) => {
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap_or_default() };
                gathered.buckets.push((bound, value.parse().unwrap_or_default()));
            }
            _ => {}
        }
    }

    fn metric(self, began: u64, now: u64) -> Metric {
        let cumulative = i32::from(AggregationTemporality::Cumulative);
        let points = |since: u64| -> Vec<NumberDataPoint> {
            let points = self.numbers.iter().map(|(labels, value)| NumberDataPoint {
                attributes: attributes(labels),
                start_time_unix_nano: since,
                time_unix_nano: now,
                value: Some(number(value)),
                ..NumberDataPoint::default()
            });
            points.collect()
        };
        let data = match self.kind {
            "counter" => Data::Sum(Sum {
                data_points: points(began),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            "histogram" => Data::Histogram(Histogram {
                data_points: self.histograms.iter().map(|one| spread(one, began, now)).collect(),
                aggregation_temporality: cumulative,
            }),
            _ => Data::Gauge(Gauge { data_points: points(0) }),
        };
        Metric {
            name: self.name.to_owned(),
            description: self.help.clone(),
            data: Some(data),
            ..Metric::default()
        }
    }
}

/// Buckets that count what is no larger become buckets that count what lies between.
fn spread((labels, gathered): (&Labels, &Gathered), began: u64, now: u64) -> HistogramDataPoint {
    let below = std::iter::once(0).chain(gathered.buckets.iter().map(|(_, count)| *count));
    let counts = gathered.buckets.iter().zip(below).map(|((_, count), below)| count.saturating_sub(below));
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: began,
        time_unix_nano: now,
        count: gathered.count,
        sum: Some(gathered.sum),
        bucket_counts: counts.collect(),
        explicit_bounds: gathered
            .buckets
            .iter()
            .map(|(bound, _)| *bound)
            .filter(|bound| bound.is_finite())
            .collect(),
        ..HistogramDataPoint::default()
    }
}

fn number(text: &str) -> number_data_point::Value {
    text.parse().map_or_else(
        |_| number_data_point::Value::AsDouble(text.parse().unwrap_or_default()),
        number_data_point::Value::AsInt,
    )
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    let said = |value: &String| Some(AnyValue { value: Some(Value::StringValue(value.clone())) });
    let pairs = labels.iter().map(|(label, value)| KeyValue {
        key: label.clone(),
        value: said(value),
        ..KeyValue::default()
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::{BindingNumbers, Metrics};
    use crate::model::outcome::OutcomeKind;

    fn named<'a>(all: &'a [Metric], name: &str) -> &'a Metric {
        all.iter().find(|one| one.name == name).unwrap_or_else(|| panic!("no {name}"))
    }

    #[test]
    fn counters_gauges_and_histograms_arrive_with_their_labels() {
        let told = Metrics::new();
        told.called("crm", "create", OutcomeKind::Ok, Duration::from_millis(30));
        told.called("crm", "create", OutcomeKind::Ok, Duration::from_millis(700));
        told.captured(12);
        // names of people's own choice may hold anything
        let binding = "odd \"name\" \\ with {braces}, and = - crm.AccountObj";
        told.set_binding(binding, &BindingNumbers { waiting: 7, ..BindingNumbers::default() });
        let all = metrics(&told.encode(), 5, 9);

        let Some(Data::Sum(sum)) = &named(&all, "rowtwin_rows_captured").data else { panic!("{all:?}") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
        let point = &sum.data_points[0];
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5, 9));
        assert_eq!(point.value, Some(number_data_point::Value::AsInt(12)));

        let Some(Data::Gauge(gauge)) = &named(&all, "rowtwin_outbox_waiting").data else { panic!("{all:?}") };
        assert_eq!(gauge.data_points[0].attributes, attributes(&vec![("binding".into(), binding.into())]));
        assert_eq!(gauge.data_points[0].value, Some(number_data_point::Value::AsInt(7)));

        let seconds = named(&all, "rowtwin_call_seconds");
        let Some(Data::Histogram(histogram)) = &seconds.data else { panic!("{all:?}") };
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (2, 2));
        assert!((point.sum.unwrap() - 0.73).abs() < 1e-9, "{point:?}");
        assert_eq!(
            point.bucket_counts.len(),
            point.explicit_bounds.len() + 1,
            "one bucket has no upper bound"
        );
        let lower = point.explicit_bounds.iter().position(|bound| *bound >= 0.03).unwrap();
        assert_eq!(point.bucket_counts[lower], 1);
        assert_eq!(point.attributes.len(), 2, "the bound is no label");
        assert!(seconds.description.contains("How long"), "{seconds:?}");
    }

    #[test]
    fn every_line_of_the_text_arrives() {
        let told = Metrics::new();
        told.called("crm", "read", OutcomeKind::Unknown, Duration::from_secs(1));
        told.set_slot("idle", 1, 2);
        let text = told.encode();
        let named: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let all = metrics(&text, 0, 1);
        assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), named);
        let points = |one: &Metric| match &one.data {
            Some(Data::Sum(sum)) => sum.data_points.len(),
            Some(Data::Gauge(gauge)) => gauge.data_points.len(),
            _ => 0,
        };
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_seconds_"));
        let lines = lines.filter(|line| !line.starts_with("rowtwin_call_seconds")).count();
        assert_eq!(all.iter().map(points).sum::<usize>(), lines);
    }
}
