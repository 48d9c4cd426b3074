//! Times as people write them, to milliseconds since 1970 and back.

/// The civil date of a number of days since 1970-01-01: year, month, day.
///
/// Counts in eras of 400 years that begin on 1 March, so that leap days come last.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day)
}

fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Reads a time: milliseconds since 1970, `-15m` (from now), `2026-11-23`, `2026-11-23T10:00`,
/// `2026-11-23T10:00:00.5Z`, or with an offset as `+02:00`. Without one it is UTC.
///
/// # Errors
/// Says what can be written.
pub fn parse(text: &str, now_ms: i64) -> Result<i64, String> {
    let wrong = || {
        format!(
            "`{text}` is no time: write ms since 1970, 2026-11-23, 2026-11-23T10:00:00Z, or -15m \
             for 15 minutes ago"
        )
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| wrong());
    }
    if let Some(ago) = text.strip_prefix('-') {
        let unit = ago.chars().last().ok_or_else(wrong)?;
        let factor = match unit {
            's' => 1_000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            _ => return Err(wrong()),
        };
        // Digits alone: with a sign of its own it would lie ahead.
        let number = digits(&ago[..ago.len() - 1], 1, 18).ok_or_else(wrong)?;
        let ago = number.checked_mul(factor).ok_or_else(wrong)?;
        return Ok(now_ms.saturating_sub(ago).max(0));
    }
    date_and_time(text).ok_or_else(wrong)
}

fn date_and_time(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut parts = date.split('-');
    let year: i64 = digits(parts.next()?, 4, 4)?;
    let month = digits(parts.next()?, 1, 2)? as u32;
    let day = digits(parts.next()?, 1, 2)? as u32;
    let days = days_from_civil(year, month, day);
    if parts.next().is_some() || civil_from_days(days) != (year, month, day) {
        return None;
    }
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], offset_ms(&time[at..])?),
        None => (time, 0),
    };
    let mut parts = time.split(':');
    let hour = digits(parts.next()?, 1, 2).filter(|&hour| hour < 24)?;
    let minute = digits(parts.next()?, 2, 2).filter(|&minute| minute < 60)?;
    let (second, fraction) = match parts.next() {
        None => (0, 0),
        Some(seconds) => {
            let (second, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            let ms = digits(fraction, 1, 9)? * 1_000 / 10i64.pow(fraction.len() as u32);
            (digits(second, 2, 2).filter(|&second| second < 61)?, ms)
        }
    };
    if parts.next().is_some() {
        return None;
    }
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1_000 + fraction - offset)
}

fn offset_ms(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.chars().next() {
        Some('+') => 1,
        Some('-') => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    Some(sign * (digits(hours, 2, 2)? * 60 + digits(minutes, 2, 2)?) * 60_000)
}

fn digits(text: &str, least: usize, most: usize) -> Option<i64> {
    let fine = (least..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fine.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree_for_thousands_of_years() {
        for days in (-800_000..3_000_000).step_by(97) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(civil_from_days(11_016), (2000, 2, 29));
    }

    #[test]
    fn times_as_people_write_them() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(parse(text, 10_000_000).ok(), expected, "{text}");
        };
        check("0", Some(0));
        check("1795352868123", Some(1_795_352_868_123));
        check("-15m", Some(9_100_000));
        check("-1d", Some(0));
        check("2026-11-22", Some(1_795_305_600_000));
        check("2026-11-22T13:07:48.123Z", Some(1_795_352_868_123));
        check("2026-11-22 13:07", Some(1_795_352_820_000));
        check("2026-11-22T15:07:48+02:00", Some(1_795_352_868_000));
        check("2026-11-22T11:37:48-01:30", Some(1_795_352_868_000));
        for wrong in
            ["", "-", "-5", "-5y", "yesterday", "2026-13-01", "2026-02-30", "2026-1-1T25:00"]
        {
            check(wrong, None);
        }
        for wrong in
            ["--5m", "-+5m", "--9223372036854775s", "-99999999999999d", "2026-11-22T10:00Z05:00"]
        {
            check(wrong, None);
        }
        for wrong in ["2026-11-22T1:2", "2026-11-22T10:00:00.", "2026-11-22T10:00+2", "é"] {
            check(wrong, None);
        }
    }
}
