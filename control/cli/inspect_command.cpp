// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/core.h>

#include "command.h"
#include "share_set.h"

namespace ssn::cli {
namespace {

class InspectCommand final : public Command {
 public:
  const char* name() const noexcept override { return "inspect"; }
  const char* summary() const noexcept override { return "Show what share files are, and check them"; }
  const char* examples() const noexcept override {
    return "  ssn inspect photo.raw.*.ssn           scheme, k, n, index and object of each\n"
           "  ssn inspect --check photo.raw.*.ssn   reads all and compares the checksums\n"
           "  ssn inspect --json photo.raw.1.ssn\n";
  }
  void declare(OptionTable& table) override;
  Exit run(const OutputOptions& output) override;

 private:
  Outcome examine(ShareInput& input, const OutputOptions& output) const;
  void print(const ShareInput& input) const;
  void print_json(const std::vector<ShareInput>& inputs, const Error* error) const;

  std::vector<std::string> shares_;
  bool check_ = false;
};

void InspectCommand::declare(OptionTable& table) {
  table.arguments("SHARE", shares_, share_arguments_max, "Share files");
  table.flag("--check", check_, "Read every block and compare its checksum");
}

// The finding of one file as an error with its own exit code.
Error finding(const ShareInput& input) {
  if (input.error) {
    return *input.error;
  }
  const Exit code = input.state == ShareState::truncated ? Exit::not_a_share : Exit::integrity;
  return Error{code, "this share is not whole", input.detail, input.path,
               "use another copy of it, or other shares"};
}

Outcome InspectCommand::examine(ShareInput& input, const OutputOptions& output) const {
  if (input.usable() && check_) {
    Progress progress("check " + input.path, output.quiet);
    if (Outcome checked = check_share(input, progress); !checked.ok()) {
      return checked;
    }
  }
  input.file.close();
  return input.state == ShareState::good ? Outcome(done) : Outcome(finding(input));
}

void InspectCommand::print(const ShareInput& input) const {
  if (!input.header) {
    print_text(fmt::format("{}: {}\n", input.path, input.detail));
    return;
  }
  const ShareHeader& header = *input.header;
  std::string text = fmt::format("{}: share {} of {}, any {} restore the object\n", input.path, header.share,
                                 header.n, header.k);
  text += fmt::format("  object   {}, {} bytes\n", to_hex(header.object_id), header.object_bytes);
  text += fmt::format("  scheme   {}", kernels::name(header.scheme));
  if (header.scheme == kernels::Scheme::ramp) {
    text += fmt::format(", {} data blocks", header.data_blocks);
  }
  text += fmt::format("\n  secrecy  {}\n", describe_secrecy(header));
  text += fmt::format("  blocks   {} of {} bytes\n", block_count(header), header.block_bytes);
  if (input.state != ShareState::good) {
    text += fmt::format("  state    {}: {}\n", cli::name(input.state), input.detail);
  } else if (check_) {
    text += fmt::format("  state    good: all {} checksums match\n", input.good_blocks);
  } else {
    text += "  state    header good; --check compares the blocks too\n";
  }
  print_text(text);
}

void InspectCommand::print_json(const std::vector<ShareInput>& inputs, const Error* error) const {
  JsonWriter json;
  begin_document(json, "ssn.inspect/1", error);
  json.member("checked", check_).key("shares").begin_array();
  for (const ShareInput& input : inputs) {
    json.begin_object();
    json.member("file", input.path).member("state", cli::name(input.state)).member("detail", input.detail);
    if (input.header) {
      json.member("share", input.header->share);
      write_object(json, *input.header);
      json.member("header_bytes", static_cast<std::uint64_t>(input.header->header_bytes));
      json.member("good_blocks", input.good_blocks).member("damaged_blocks", input.bad_blocks);
    }
    json.end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
}

Exit InspectCommand::run(const OutputOptions& output) {
  std::vector<ShareInput> inputs;
  std::optional<Error> first;
  for (const std::string& path : shares_) {
    inputs.push_back(open_share(path));
    const Outcome outcome = examine(inputs.back(), output);
    if (!outcome.ok()) {
      print_error(outcome.error());
      if (!first) {
        first = outcome.error();
      }
    }
    if (!output.json && !output.quiet) {
      print(inputs.back());
    }
  }
  if (output.json) {
    print_json(inputs, first ? &*first : nullptr);
  }
  return first ? first->code : Exit::ok;
}

}  // namespace

std::unique_ptr<Command> make_inspect_command() { return std::make_unique<InspectCommand>(); }

}  // namespace ssn::cli
