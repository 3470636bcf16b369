//! A result in three forms: the type, a JSON object with stable names, and one line of text.

use super::verdict;
use crate::access::{JobId, Report, Verdict};
use serde::Serialize;
use std::fmt;

/// A result for people and programs. Serialises to one flat JSON object; `Display` is one line.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct ResultLine {
    /// Our own job id.
    pub job: String,
    /// The service's job id; ours again in v1.
    pub remote_job: String,
    /// The user the answer names.
    pub user_id: String,
    /// `authentication` or `registration`.
    pub product: &'static str,
    /// The same as the service's older interface numbers it: 2 or 4.
    pub job_type: u8,
    /// `approved`, `provisional`, `rejected`, `undecided` or `unknown`.
    pub verdict: &'static str,
    /// The refusal names a spoof, or does not exclude one.
    pub spoof: bool,
    /// The service's status word or result code.
    pub code: String,
    /// The service's text.
    pub text: String,
}

impl ResultLine {
    /// The result of our job `job`.
    pub fn new(job: JobId, report: &Report) -> Self {
        Self {
            job: job.to_string(),
            remote_job: report.remote_job.clone(),
            user_id: report.user_id.clone(),
            product: report.product.name(),
            job_type: verdict::job_type(report.product),
            verdict: report.verdict.name(),
            spoof: matches!(report.verdict, Verdict::Rejected { spoof: true }),
            code: report.code.clone(),
            text: report.text.clone(),
        }
    }

    /// The JSON object on one line.
    pub fn to_json(&self) -> String {
        // A struct of texts and numbers always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl fmt::Display for ResultLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} user={} job={}", self.product, self.verdict, self.user_id, self.job)?;
        if self.remote_job != self.job {
            write!(f, " remote={}", self.remote_job)?;
        }
        write!(f, " code={}", self.code)?;
        if !self.text.is_empty() {
            write!(f, " \"{}\"", self.text)?;
        }
        Ok(())
    }
}

/// `Debug` shows no user id, unlike `Display`, which is made for the operator who asked.
impl fmt::Debug for ResultLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResultLine({} {} job={} code={})", self.product, self.verdict, self.job, self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Product;

    fn report() -> Report {
        Report {
            verdict: Verdict::Rejected { spoof: true },
            product: Product::Authentication,
            user_id: "emp-7".into(),
            remote_job: "job_1".into(),
            code: "block".into(),
            text: "Job completed".into(),
        }
    }

    #[test]
    fn json_and_text_say_the_same() {
        let line = ResultLine::new(JobId([0x11; 16]), &report());
        assert_eq!(
            line.to_json(),
            "{\"job\":\"11111111-1111-1111-1111-111111111111\",\"remote_job\":\"job_1\",\"user_id\":\"emp-7\",\
             \"product\":\"authentication\",\"job_type\":2,\"verdict\":\"rejected\",\"spoof\":true,\
             \"code\":\"block\",\"text\":\"Job completed\"}"
        );
        assert_eq!(
            line.to_string(),
            "authentication rejected user=emp-7 job=11111111-1111-1111-1111-111111111111 remote=job_1 \
             code=block \"Job completed\""
        );
        assert!(!format!("{line:?}").contains("emp-7"));
    }
}
