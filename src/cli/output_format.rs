//! Flags that say what the files look like.

use clap::{ArgAction, Args, ValueEnum};
use rsqoop_connector::Result;

use super::chars;
use super::console::Console;
use crate::job::{Format, HiveDelims, ParquetCodec, TextCodec, TextFormat, usage};

#[derive(Debug, Args)]
#[command(next_help_heading = "Output format")]
pub(super) struct FormatArgs {
    /// Write delimited text (the default)
    #[arg(long, conflicts_with = "as_parquetfile")]
    as_textfile: bool,
    /// Write Parquet
    #[arg(long)]
    as_parquetfile: bool,
    /// Compress; gzip for text, zstd for Parquet (which is compressed in any case)
    #[arg(short = 'z', long)]
    compress: bool,
    /// Compress with this codec: gzip, bzip2, zstd, snappy, lz4, deflate for text; none, snappy,
    /// gzip, zstd, lz4, brotli for Parquet; Hadoop's class names are understood
    #[arg(long, value_name = "CODEC")]
    compression_codec: Option<String>,
    /// Character between fields [default: ,]
    #[arg(long, value_name = "CHAR", allow_hyphen_values = true)]
    fields_terminated_by: Option<String>,
    /// Character after every record [default: \n]
    #[arg(long, value_name = "CHAR", allow_hyphen_values = true)]
    lines_terminated_by: Option<String>,
    /// Character around every field
    #[arg(long, value_name = "CHAR", allow_hyphen_values = true)]
    enclosed_by: Option<String>,
    /// Character around fields that hold a delimiter
    #[arg(long, value_name = "CHAR", allow_hyphen_values = true)]
    optionally_enclosed_by: Option<String>,
    /// Character before characters that would be misread
    #[arg(long, value_name = "CHAR", allow_hyphen_values = true)]
    escaped_by: Option<String>,
    /// MySQL's delimiters: fields , lines \n escape \ optionally enclosed by '
    #[arg(long)]
    mysql_delimiters: bool,
    /// Text for NULL in character columns [default: null]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    null_string: Option<String>,
    /// Text for NULL in other columns [default: null]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    null_non_string: Option<String>,
    /// Drop \n, \r and \01 from character columns
    #[arg(long, conflicts_with = "hive_delims_replacement")]
    hive_drop_import_delims: bool,
    /// Put this text in place of \n, \r and \01 in character columns
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    hive_delims_replacement: Option<String>,
    /// Follow Sqoop 1.4.7 also where its text form loses data or escapes the NULL text
    #[arg(long, value_name = "VERSION", action = ArgAction::Set)]
    compat: Option<Compat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compat {
    #[value(name = "sqoop1.4")]
    Sqoop14,
}

impl FormatArgs {
    /// The format the flags describe.
    ///
    /// # Errors
    /// `Usage` naming the flag that cannot be followed.
    pub(super) fn format(&self, console: &Console) -> Result<Format> {
        if self.as_parquetfile {
            return Ok(Format::Parquet(match &self.compression_codec {
                Some(name) => parquet_codec(name)?,
                None => ParquetCodec::Zstd,
            }));
        }
        let mut text = TextFormat {
            codec: match &self.compression_codec {
                Some(name) => text_codec(name)?,
                None if self.compress => TextCodec::Gzip,
                None => TextCodec::None,
            },
            sqoop_compat: self.compat == Some(Compat::Sqoop14),
            ..TextFormat::default()
        };
        self.delimiters(&mut text, console)?;
        if let Some(token) = &self.null_string {
            text.null_string = chars::null_token(token)?;
        }
        if let Some(token) = &self.null_non_string {
            text.null_non_string = chars::null_token(token)?;
        }
        if self.hive_drop_import_delims {
            text.hive_delims = HiveDelims::Drop;
        }
        if let Some(replacement) = &self.hive_delims_replacement {
            text.hive_delims = HiveDelims::Replace(replacement.clone());
        }
        Ok(Format::Text(text))
    }

    fn delimiters(&self, text: &mut TextFormat, console: &Console) -> Result<()> {
        let parse = |flag: &str, value: &Option<String>| -> Result<Option<Option<char>>> {
            let Some(value) = value else { return Ok(None) };
            let parsed = chars::delimiter(flag, value)?;
            if let Some(warning) = &parsed.warning {
                console.warn(warning);
            }
            Ok(Some(parsed.ch))
        };
        if let Some(ch) = parse("--fields-terminated-by", &self.fields_terminated_by)? {
            text.field_delimiter = ch.unwrap_or('\0');
        }
        if let Some(ch) = parse("--lines-terminated-by", &self.lines_terminated_by)? {
            text.record_delimiter = ch.unwrap_or('\0');
        }
        if let Some(ch) = parse("--escaped-by", &self.escaped_by)? {
            text.escaped_by = ch;
        }
        // Both given: the mandatory one wins (Sqoop 1.4.7 applies it second).
        if let Some(ch) = parse("--optionally-enclosed-by", &self.optionally_enclosed_by)? {
            text.enclosed_by = ch;
        }
        if let Some(ch) = parse("--enclosed-by", &self.enclosed_by)? {
            text.enclosed_by = ch;
            text.enclose_all = ch.is_some();
        }
        if self.mysql_delimiters {
            text.field_delimiter = ',';
            text.record_delimiter = '\n';
            text.escaped_by = Some('\\');
            text.enclosed_by = Some('\'');
            text.enclose_all = false;
        }
        Ok(())
    }
}

/// A codec's short name: Sqoop takes any case, with or without `Codec`, or the full class name.
fn short_name(name: &str) -> String {
    let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    last.strip_suffix("codec").map(str::to_string).unwrap_or(last)
}

fn parquet_codec(name: &str) -> Result<ParquetCodec> {
    Ok(match short_name(name).as_str() {
        "none" | "uncompressed" => ParquetCodec::None,
        "snappy" => ParquetCodec::Snappy,
        "gzip" => ParquetCodec::Gzip,
        "zstd" | "zstandard" => ParquetCodec::Zstd,
        "lz4" => ParquetCodec::Lz4,
        "brotli" => ParquetCodec::Brotli,
        _ => {
            return Err(usage(format!("--compression-codec {name} is not one for Parquet"))
                .hint("choose none, snappy, gzip, zstd, lz4 or brotli"));
        }
    })
}

fn text_codec(name: &str) -> Result<TextCodec> {
    Ok(match short_name(name).as_str() {
        "none" | "uncompressed" => TextCodec::None,
        "gzip" => TextCodec::Gzip,
        "bzip2" => TextCodec::Bzip2,
        "zstd" | "zstandard" => TextCodec::Zstd,
        "snappy" => TextCodec::Snappy,
        "lz4" => TextCodec::Lz4,
        "deflate" | "default" => TextCodec::Deflate,
        _ => {
            return Err(usage(format!("--compression-codec {name} is not one for text"))
                .hint("choose none, gzip, bzip2, zstd, snappy, lz4 or deflate"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hadoop_class_names_are_understood() {
        for name in ["gzip", "GzipCodec", "org.apache.hadoop.io.compress.GzipCodec", "GZIP"] {
            assert_eq!(text_codec(name).unwrap(), TextCodec::Gzip, "{name}");
            assert_eq!(parquet_codec(name).unwrap(), ParquetCodec::Gzip, "{name}");
        }
        assert_eq!(text_codec("DefaultCodec").unwrap(), TextCodec::Deflate);
        assert!(text_codec("brotli").is_err());
        assert!(parquet_codec("bzip2").is_err());
    }
}
