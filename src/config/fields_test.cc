#include "config/fields.h"

#include <gtest/gtest.h>

namespace penstock::config {
namespace {

TEST(Fields, CoerceWhatPydanticCoerces) {
  for (const char* text : {"3", "3.0", "\"3\"", "\" 3 \"", "\"+3\"", "\"3.0\""}) {
    EXPECT_EQ(*WholeField("f", Json::parse(text), {}), 3) << text;
  }
  EXPECT_EQ(*WholeField("f", true, {}), 1);
  EXPECT_DOUBLE_EQ(*NumberField("f", "1.5", {}), 1.5);
  EXPECT_DOUBLE_EQ(*NumberField("f", 2, {}), 2);
}

struct Refusal {
  const char* value;
  const char* message;
};

class Wholes : public testing::TestWithParam<Refusal> {};

TEST_P(Wholes, RefuseWithFieldValueAndReason) {
  const auto result = WholeField("n", Json::parse(GetParam().value), {.least = 0, .most = 10});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Code::kInvalidArgument);
  EXPECT_EQ(result.status().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    AsPydantic, Wholes,
    testing::Values(
        Refusal{"-1", "n: Input should be greater than or equal to 0, got -1"},
        Refusal{"11", "n: Input should be less than or equal to 10, got 11"},
        Refusal{"1.5",
                "n: Input should be a valid integer, got a number with a fractional part, got 1.5"},
        Refusal{
            "\"foo\"",
            "n: Input should be a valid integer, unable to parse string as an integer, got 'foo'"},
        Refusal{"\"\"",
                "n: Input should be a valid integer, unable to parse string as an integer, got ''"},
        Refusal{"null", "n: Input should be a valid integer, got None"},
        Refusal{"[1]", "n: Input should be a valid integer, got [1]"},
        Refusal{"1e300",
                "n: Input should be a valid integer, got a number with a fractional part, got "
                "1e+300"}));

TEST(Fields, ExclusiveBoundsSaySo) {
  EXPECT_EQ(NumberField("f", 0, {.least = 0, .above_least = true}).status().message(),
            "f: Input should be greater than 0, got 0");
  EXPECT_EQ(NumberField("f", 1.5, {.least = 0, .most = 0.5}).status().message(),
            "f: Input should be less than or equal to 0.5, got 1.5");
  EXPECT_FALSE(NumberField("f", "inf", {}).ok());
  EXPECT_FALSE(NumberField("f", Json::array(), {}).ok());
}

TEST(Fields, PrintValuesAsPythonDoes) {
  EXPECT_EQ(PythonRepr(Json::parse(R"({"a":[1,"x",null,true]})")), "{'a': [1, 'x', None, True]}");
  EXPECT_EQ(PythonType(1), "<class 'int'>");
  EXPECT_EQ(PythonType(1.0), "<class 'float'>");
  EXPECT_EQ(PythonType("x"), "<class 'str'>");
  EXPECT_EQ(PythonType(nullptr), "<class 'NoneType'>");
  EXPECT_EQ(PythonType(Json::array()), "<class 'list'>");
}

}  // namespace
}  // namespace penstock::config
