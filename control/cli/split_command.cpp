// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/core.h>

#include "command.h"
#include "splitter.h"

namespace ssn::cli {
namespace {

class SplitCommand final : public Command {
 public:
  const char* name() const noexcept override { return "split"; }
  const char* summary() const noexcept override {
    return "Split a file into n shares, any k of which restore it";
  }
  const char* examples() const noexcept override {
    return "  ssn split --k 3 --n 5 photo.raw               photo.raw.1.ssn to photo.raw.5.ssn beside the "
           "file\n"
           "  ssn split --k 2 --n 3 --out /mnt/usb key.pem  the shares into another directory\n"
           "  tar c docs | ssn split --k 2 --n 3 --name docs.tar --out shares -\n"
           "  ssn split --k 4 --n 8 --scheme ramp --data-blocks 2 big.img   shares of half the size\n"
           "  ssn split --k 3 --n 5 --format gfshare key.pem   key.pem.001 ... for gfcombine\n";
  }
  void declare(OptionTable& table) override;
  Exit run(const OutputOptions& output) override;

 private:
  Result<SplitOptions> options() const;
  Outcome check_layout(SplitOptions& options) const;
  Exit fail(const OutputOptions& output, const Error& error) const;
  void print(const OutputOptions& output, const SplitReport& report,
             const kernels::Implementation& implementation) const;
  void print_json(const SplitReport& report, const kernels::Implementation& implementation) const;

  unsigned k_ = 0;
  unsigned n_ = 0;
  unsigned data_blocks_ = 0;
  std::string scheme_;
  std::string format_ = "ssn";
  std::string random_ = "drbg";
  std::string random_device_;
  std::string directory_;
  std::string name_;
  std::string input_;
  std::uint64_t block_bytes_ = 0;
  bool force_ = false;
};

void SplitCommand::declare(OptionTable& table) {
  using Need = OptionTable::Need;
  table.argument("FILE", input_, "What to split; - is standard input");
  table.number("-k,--k", k_, 1, kernels::max_shares, Need::required, "How many shares restore it");
  table.number("-n,--n", n_, 1, kernels::max_shares, Need::required, "How many shares to make");
  table.text("--out", directory_, "DIR", Need::optional, "Directory for the shares (default: that of FILE)");
  table.text("--name", name_, "NAME", Need::optional,
             "Name of the shares before the number (default: that of FILE)");
  table.choice("--scheme", scheme_, {"systematic", "classic", "ramp", "rs"},
               "systematic (default), classic (Shamir at 1..n), ramp (shorter shares, k-L of which reveal "
               "nothing) or rs (Reed-Solomon: shortest shares, NO secrecy)");
  table.number("--data-blocks", data_blocks_, 1, kernels::max_shares, Need::optional,
               "ramp: shares are 1/L of the data and k-L of them reveal nothing");
  table.choice("--format", format_, {"ssn", "gfshare"},
               "ssn (default: self-describing, checksummed) or gfshare (as gfsplit writes; implies classic)");
  table.choice("--random", random_, {"drbg"},
               "Where random blocks come from: drbg (default) is AES-256-CTR seeded by the kernel, which "
               "makes secrecy computational");
  table.text("--random-device", random_device_, "PATH", Need::optional,
             "Take random blocks from this hardware generator instead, which keeps secrecy "
             "information-theoretic if it is sound; needs (k-L)/L random bytes per byte of data");
  table.size("--block-size", block_bytes_, block_bytes_min, block_bytes_max,
             "Share bytes per block: what one checksum covers (default: up to 1M)");
  table.flag("--force", force_, "Replace existing share files");
}

Error usage_error(std::string what, std::string why, std::string where, std::string fix) {
  return Error{Exit::usage, std::move(what), std::move(why), std::move(where), std::move(fix)};
}

Outcome SplitCommand::check_layout(SplitOptions& options) const {
  const bool gfshare = options.format == ShareFormat::gfshare;
  const std::string scheme = !scheme_.empty() ? scheme_ : gfshare ? "classic" : "systematic";
  if (!kernels::parse_scheme(scheme, options.scheme)) {
    return usage_error("cannot split", "no scheme is called " + scheme, "--scheme", "see `ssn split --help`");
  }
  if (gfshare && options.scheme != kernels::Scheme::classic) {
    return usage_error("cannot write gfshare files", "they hold shares of scheme classic only",
                       "--scheme " + scheme, "leave --scheme out, or use --format ssn");
  }
  if (options.scheme == kernels::Scheme::ramp) {
    if (data_blocks_ == 0) {
      return usage_error("cannot split with scheme ramp", "it needs the number of data blocks",
                         "--data-blocks",
                         "add --data-blocks L: shares become 1/L as long, and k-L of them reveal nothing");
    }
    options.data_blocks = data_blocks_;
    return done;
  }
  if (data_blocks_ != 0) {
    return usage_error("cannot split with scheme " + scheme, "only ramp has a choice of data blocks",
                       "--data-blocks", "leave --data-blocks out, or use --scheme ramp");
  }
  options.data_blocks = options.scheme == kernels::Scheme::rs ? k_ : 1;
  return done;
}

Result<SplitOptions> SplitCommand::options() const {
  SplitOptions options;
  options.k = k_;
  options.n = n_;
  options.format = format_ == "gfshare" ? ShareFormat::gfshare : ShareFormat::ssn;
  if (Outcome layout = check_layout(options); !layout.ok()) {
    return layout.error();
  }
  if (name_.find('/') != std::string::npos || name_ == "." || name_ == "..") {
    return usage_error("cannot name the shares " + name_, "that is not a file name", "--name",
                       "give a name without slashes, and the directory with --out");
  }
  if (options.scheme == kernels::Scheme::rs && !random_device_.empty()) {
    return usage_error("cannot use a random device",
                       "scheme rs takes no random blocks and keeps nothing secret", "--random-device",
                       "leave it out, or choose a scheme that keeps secrets");
  }
  if (block_bytes_ * n_ > blocks_of_all_shares_max) {
    return usage_error("cannot use this block size",
                       fmt::format("blocks of {} bytes for {} shares take more than {} bytes of memory",
                                   block_bytes_, n_, blocks_of_all_shares_max),
                       "--block-size", "choose smaller blocks");
  }
  options.block_bytes = static_cast<std::uint32_t>(block_bytes_);
  options.input = input_;
  options.directory = directory_;
  options.name = name_;
  options.random_device = random_device_;
  options.force = force_;
  return options;
}

Exit SplitCommand::fail(const OutputOptions& output, const Error& error) const {
  print_error(error);
  if (output.json) {
    print_error_document("ssn.split/1", error);
  }
  return error.code;
}

void SplitCommand::print_json(const SplitReport& report,
                              const kernels::Implementation& implementation) const {
  JsonWriter json;
  begin_document(json, "ssn.split/1", nullptr);
  json.member("input", input_).member("format", format_).key("object").begin_object();
  write_object(json, report.header);
  json.end_object().key("shares").begin_array();
  for (std::size_t i = 0; i < report.shares.size(); ++i) {
    json.begin_object();
    json.member("share", static_cast<std::uint64_t>(i + 1)).member("file", report.shares[i]);
    json.member("bytes", report.share_bytes).end_object();
  }
  json.end_array().member("seconds", report.seconds);
  const double bytes = static_cast<double>(report.header.object_bytes);
  json.member("bytes_per_second", report.seconds > 0 ? bytes / report.seconds : 0.0);
  json.member("kernels", kernels::name(implementation)).end_object();
  print_text(json.text());
}

void SplitCommand::print(const OutputOptions& output, const SplitReport& report,
                         const kernels::Implementation& implementation) const {
  if (output.json) {
    print_json(report, implementation);
  } else if (!output.quiet) {
    for (const std::string& share : report.shares) {
      print_text(share + "\n");
    }
  }
  const ShareHeader& header = report.header;
  print_note(output,
             fmt::format("{} shares of {}, any {} of them restore {}; {}", header.n,
                         format_bytes(report.share_bytes), header.k, input_, describe_secrecy(header)));
  print_note(output, "split " + describe_speed(header.object_bytes, report.seconds, implementation));
}

Exit SplitCommand::run(const OutputOptions& output) {
  const Result<SplitOptions> chosen = options();
  if (!chosen.ok()) {
    return fail(output, chosen.error());
  }
  const Result<const kernels::Implementation*> implementation = choose_kernels();
  if (!implementation.ok()) {
    return fail(output, implementation.error());
  }
  if (chosen.value().scheme == kernels::Scheme::rs) {
    print_warning("scheme rs keeps NOTHING secret: shares 1 to k are pieces of the data as it is");
  }
  Progress progress("split", output.quiet);
  const Result<SplitReport> report = split(chosen.value(), *implementation.value(), progress);
  if (!report.ok()) {
    return fail(output, report.error());
  }
  print(output, report.value(), *implementation.value());
  return Exit::ok;
}

}  // namespace

std::unique_ptr<Command> make_split_command() { return std::make_unique<SplitCommand>(); }

}  // namespace ssn::cli
