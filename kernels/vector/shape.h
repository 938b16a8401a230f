// SPDX-License-Identifier: BSD-3-Clause
// The shapes that the data plane runs. With the numbers of columns and rows known, loops vanish and pointers,
// factors and tag sums stay in registers, which doubles the speed at a packet's length. Included by
// combine.h, like which see.

enum class Form {
  split,     // all columns but the last are repeated by an output
  generate,  // the same, and these columns are generated
  keep,      // no output repeats a column
  recover,   // no output repeats a column, inputs are padded and outputs are not
  dot,       // the same without any pad
};

constexpr bool pads_output(Form form) { return form != Form::recover && form != Form::dot; }

template <Form form, unsigned Columns, unsigned Rows, bool Ones, bool Tagged>
class Shape {
 public:
  static void run(const Combination& c, std::size_t begin, std::size_t end) {
    const Shape shape(c);
    if constexpr (Tagged) {
      shape.run_tagged(c.tag_before_count > 0 ? c.tag_before : c.tag_after, end);
    } else {
      shape.run_range(begin, end, 0, nullptr);
    }
  }

 private:
  static constexpr unsigned repeated = form == Form::split || form == Form::generate ? Columns - 1 : 0;
  static constexpr unsigned generated = form == Form::generate ? Columns - 1 : 0;
  static constexpr unsigned steps = form == Form::generate ? Vector::steps_generated(Columns)
                                    : Tagged               ? 2
                                                           : 1;
  static constexpr unsigned tags = form == Form::recover ? Columns : repeated + Rows;

  SSN_INLINE explicit Shape(const Combination& c) {
    round_keys = c.round_keys;
    SSN_UNROLL
    for (unsigned j = 0; j < Columns; ++j) {
      if constexpr (form == Form::recover) {
        input_pad[j] = c.input_pad[j];
      }
      if (j < repeated) {
        copy[j] = c.copy[j];
        copy_pad[j] = c.copy_pad[j];
      }
      if (j < generated) {
        first_block[j] = c.counter + j * blocks_per_column(c);
      } else {
        input[j] = c.input[j];
      }
    }
    SSN_UNROLL
    for (unsigned r = 0; r < Rows; ++r) {
      output[r] = c.output[r];
      if constexpr (pads_output(form)) {
        output_pad[r] = c.output_pad[r];
      }
      SSN_UNROLL
      for (unsigned j = 0; j < Columns; ++j) {
        factors[r][j] = Vector::factor(c.coefficients[r * Columns + j]);
      }
    }
    for (unsigned i = 0; Tagged && i < tags; ++i) {
      table[i] = (form == Form::recover ? c.tag_before : c.tag_after)[i].table;
    }
  }

  // Adds the bytes of share `i` at `offset`, on their way in or out, to its tag.
  template <unsigned Steps>
  SSN_INLINE void hash(unsigned i, const Register (&x)[Steps], std::size_t power,
                       Vector::Product* sums) const {
    if constexpr (Tagged) {
      sums[i].template add_products<Steps>(x, table[i] + power);
    }
  }

  template <unsigned Steps, bool Part>
  SSN_INLINE static void load_all(const Byte* from, std::size_t bytes, Register (&x)[Steps]) {
    SSN_UNROLL
    for (unsigned s = 0; s < Steps; ++s) {
      x[s] = load<Part>(from + s * Vector::width, bytes);
    }
  }

  // Adds the pad, stores, hashes.
  template <unsigned Steps, bool Part>
  SSN_INLINE void emit(unsigned i, Byte* to, Register (&x)[Steps], std::size_t bytes, std::size_t power,
                       Vector::Product* sums) const {
    SSN_UNROLL
    for (unsigned s = 0; s < Steps; ++s) {
      store<Part>(to + s * Vector::width, x[s], bytes);
      if constexpr (Tagged && Part && pads_output(form)) {
        x[s] = Vector::first_bytes(x[s], bytes);
      }
    }
    if constexpr (pads_output(form)) {
      hash<Steps>(i, x, power, sums);
    }
  }

  // All generated columns at once, so that their AES rounds overlap.
  template <unsigned Steps>
  SSN_INLINE void generate_columns(std::size_t at, Register (&x)[Columns][Steps]) const {
    std::uint64_t counters[generated * Steps];
    Register made[generated * Steps];
    SSN_UNROLL
    for (unsigned i = 0; i < generated * Steps; ++i) {
      counters[i] = first_block[i / Steps] + at / 16 + i % Steps * blocks_per_register;
    }
    Vector::template keystream<generated * Steps>(round_keys, counters, made);
    SSN_UNROLL
    for (unsigned i = 0; i < generated * Steps; ++i) {
      x[i / Steps][i % Steps] = made[i];
    }
  }

  template <unsigned Steps, bool Part>
  SSN_INLINE void take_columns(std::size_t at, std::size_t bytes, std::size_t power,
                               Register (&x)[Columns][Steps], Vector::Product* sums) const {
    if constexpr (generated > 0) {
      generate_columns<Steps>(at, x);
    }
    SSN_UNROLL
    for (unsigned j = 0; j < Columns; ++j) {
      if (j >= generated) {
        load_all<Steps, Part>(input[j] + at, bytes, x[j]);
        SSN_UNROLL
        for (unsigned s = 0; s < Steps; ++s) {
          SSN_HOLD(x[j][s]);
        }
      }
      if constexpr (form == Form::recover) {
        hash<Steps>(j, x[j], power, sums);
        SSN_UNROLL
        for (unsigned s = 0; s < Steps; ++s) {
          x[j][s] = Vector::add(x[j][s], load<Part>(input_pad[j] + at + s * Vector::width, bytes));
        }
      }
      if (j < repeated) {
        Register out[Steps];
        load_all<Steps, Part>(copy_pad[j] + at, bytes, out);
        SSN_UNROLL
        for (unsigned s = 0; s < Steps; ++s) {
          out[s] = Vector::add(out[s], x[j][s]);
        }
        emit<Steps, Part>(j, copy[j] + at, out, bytes, power, sums);
      }
    }
  }

  // sum + row r of the matrix times the columns.
  SSN_INLINE Register add_row(unsigned r, Register sum, const Register (&x)[Columns],
                              const Vector::Prepared (&prepared)[Columns]) const {
    SSN_UNROLL
    for (unsigned j = 0; j + 1 < Columns; j += 2) {
      sum = Ones && r == 0 ? Vector::add(sum, x[j], x[j + 1])
                           : Vector::add(sum, Vector::multiply(prepared[j], factors[r][j]),
                                         Vector::multiply(prepared[j + 1], factors[r][j + 1]));
    }
    if constexpr (Columns % 2 == 1) {
      constexpr unsigned j = Columns - 1;
      sum = Vector::add(sum, Ones && r == 0 ? x[j] : Vector::multiply(prepared[j], factors[r][j]));
    }
    return sum;
  }

  // Steps whole registers from `at` on, or (Part) the first `bytes` bytes of one.
  template <unsigned Steps, bool Part>
  SSN_INLINE void step(std::size_t at, std::size_t bytes, std::size_t power, Vector::Product* sums) const {
    Register x[Columns][Steps];
    take_columns<Steps, Part>(at, bytes, power, x, sums);
    Register out[Rows][Steps];
    SSN_UNROLL
    for (unsigned s = 0; s < Steps; ++s) {
      Register column[Columns];
      Vector::Prepared prepared[Columns];
      SSN_UNROLL
      for (unsigned j = 0; j < Columns; ++j) {
        column[j] = x[j][s];
        prepared[j] = Vector::prepare(column[j]);
      }
      SSN_UNROLL
      for (unsigned r = 0; r < Rows; ++r) {
        Register sum = Vector::zero();
        if constexpr (pads_output(form)) {
          sum = load<Part>(output_pad[r] + at + s * Vector::width, bytes);
        }
        out[r][s] = add_row(r, sum, column, prepared);
      }
    }
    SSN_UNROLL
    for (unsigned r = 0; r < Rows; ++r) {
      emit<Steps, Part>(repeated + r, output[r] + at, out[r], bytes, power, sums);
    }
  }

  // `power` is where the tables have the power for the block at `at`.
  SSN_INLINE void run_range(std::size_t at, std::size_t end, std::size_t power, Vector::Product* sums) const {
    for (; at + steps * Vector::width <= end; at += steps * Vector::width, power += steps * Vector::width) {
      step<steps, false>(at, 0, power, sums);
    }
    if constexpr (steps > 2) {
      if (at + 2 * Vector::width <= end) {
        step<2, false>(at, 0, power, sums);
        at += 2 * Vector::width;
        power += 2 * Vector::width;
      }
    }
    for (; at < end; at += Vector::width, power += Vector::width) {
      const std::size_t left = end - at;
      step<1, true>(at, left < Vector::width ? left : Vector::width, power, sums);
    }
  }

  SSN_INLINE void run_tagged(const TagTask* tasks, std::size_t length) const {
    Hash hashes[tags];
    for (unsigned i = 0; i < tags; ++i) {
      hashes[i] = Vector::hash_zero();
    }
    for (std::size_t begin = 0; begin < length; begin += Vector::group_bytes) {
      const Group group{begin, length - begin < Vector::group_bytes ? length : begin + Vector::group_bytes,
                        length};
      Vector::Product sums[tags];
      SSN_UNROLL
      for (unsigned i = 0; i < tags; ++i) {
        open_group(group, tasks[i], hashes[i], sums[i]);
      }
      run_range(group.begin, group.end, group.first_power(), sums);
      SSN_UNROLL
      for (unsigned i = 0; i < tags; ++i) {
        hashes[i] = close_group(group, tasks[i], hashes[i], sums[i]);
      }
    }
    for (unsigned i = 0; i < tags; ++i) {
      Vector::store_tag(hashes[i], tasks[i].mask, tasks[i].tag);
    }
  }

  const Byte* input[Columns];
  const Byte* input_pad[Columns];
  Byte* copy[Columns];
  const Byte* copy_pad[Columns];
  Byte* output[Rows];
  const Byte* output_pad[Rows];
  Vector::Factor factors[Rows][Columns];
  const Byte* table[tags];
  const Byte* round_keys;
  std::uint64_t first_block[Columns];
};

// Shapes run a range of bytes; with tags always the whole.
using ShapeRun = void (*)(const Combination&, std::size_t begin, std::size_t end);

struct SplitShape {
  unsigned columns;
  unsigned rows;        // that need arithmetic
  ShapeRun runs[3][2];  // by Form, without and with tags
};

// The run with tags, or null where their sums would not fit the registers.
template <Form form, unsigned Columns, unsigned Rows, bool Ones>
constexpr ShapeRun tagged_run() {
  constexpr unsigned tags = form == Form::recover ? Columns : form == Form::keep ? Rows : Columns - 1 + Rows;
  if constexpr (tags <= Vector::tags_in_registers) {
    return Shape<form, Columns, Rows, Ones, true>::run;
  } else {
    return nullptr;
  }
}

template <unsigned Columns, unsigned Rows>
constexpr SplitShape split_shape{
    Columns,
    Rows,
    {{Shape<Form::split, Columns, Rows, true, false>::run, tagged_run<Form::split, Columns, Rows, true>()},
     {Shape<Form::generate, Columns, Rows, true, false>::run,
      tagged_run<Form::generate, Columns, Rows, true>()},
     {Shape<Form::keep, Columns, Rows, true, false>::run, tagged_run<Form::keep, Columns, Rows, true>()}}};

// Systematic codes (k, n) with k columns and n - k + 1 rows, the first of only ones.
constexpr SplitShape split_shapes[] = {
    split_shape<2, 2>,  // (2,3)
    split_shape<3, 3>,  // (3,5)
    split_shape<4, 3>,  // (4,6)
    split_shape<6, 4>,  // (6,9)
};

struct RecoverShape {
  unsigned columns;
  ShapeRun runs[2][2];  // by whether all coefficients are ones, without and with tags
};

template <unsigned Columns>
constexpr RecoverShape recover_shape{
    Columns,
    {{Shape<Form::recover, Columns, 1, false, false>::run, tagged_run<Form::recover, Columns, 1, false>()},
     {Shape<Form::recover, Columns, 1, true, false>::run, tagged_run<Form::recover, Columns, 1, true>()}}};

constexpr RecoverShape recover_shapes[] = {recover_shape<2>, recover_shape<3>, recover_shape<4>,
                                           recover_shape<6>};

struct DotShape {
  unsigned columns;
  unsigned rows;
  ShapeRun run;
};

template <unsigned Columns, unsigned Rows>
constexpr DotShape dot_shape{Columns, Rows, Shape<Form::dot, Columns, Rows, false, false>::run};

// Recovery and repair in clear, checks of (2,3) and (3,5), parities of Reed-Solomon 3+2 and 6+3.
constexpr DotShape dot_shapes[] = {dot_shape<2, 1>, dot_shape<3, 1>, dot_shape<4, 1>, dot_shape<6, 1>,
                                   dot_shape<3, 2>, dot_shape<5, 2>, dot_shape<6, 3>};

ShapeRun find_dot_shape(const Combination& c) {
  for (const DotShape& shape : dot_shapes) {
    if (shape.columns == c.column_count && shape.rows == c.row_count) {
      return shape.run;
    }
  }
  return nullptr;
}

ShapeRun find_recover_shape(const Combination& c, bool tagged) {
  if (c.row_count != 1) {
    return nullptr;
  }
  for (const RecoverShape& shape : recover_shapes) {
    if (shape.columns == c.column_count) {
      return shape.runs[c.first_row_is_ones ? 1 : 0][tagged ? 1 : 0];
    }
  }
  return nullptr;
}

// The shape that this is, or null.
ShapeRun find_shape(const Combination& c, bool tagged) {
  if (c.output_pad == nullptr) {
    const bool computes_only = c.generated == 0 && c.copies == 0 && c.tag_after_count == 0;
    return !computes_only           ? nullptr
           : c.input_pad != nullptr ? find_recover_shape(c, tagged)
           : tagged                 ? nullptr
                                    : find_dot_shape(c);
  }
  if (c.input_pad != nullptr || !c.first_row_is_ones || c.tag_before_count != 0) {
    return nullptr;
  }
  const unsigned random = c.column_count - 1;
  const bool keeps = c.copies == 0 && c.generated == 0;
  if (!keeps && (c.copies != random || (c.generated != 0 && c.generated != random))) {
    return nullptr;
  }
  const Form form = keeps ? Form::keep : c.generated == 0 ? Form::split : Form::generate;
  for (const SplitShape& shape : split_shapes) {
    if (shape.columns == c.column_count && shape.rows == c.row_count) {
      return shape.runs[static_cast<unsigned>(form)][tagged ? 1 : 0];
    }
  }
  return nullptr;
}
