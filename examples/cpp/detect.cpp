// Detects objects in an image with an exported model: ONNX Runtime and OpenCV.
//
//     detect model.onnx photo.jpg detections.jpg [threshold]
//
// Prints one line per detection: score, x1, y1, x2, y2 in image pixels, class name. The default
// threshold of a class is the one stored in the model, else 0.3.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <optional>

using nlohmann::json;

constexpr double kDefaultThreshold = 0.3;

struct Detection {
  float score;
  cv::Point2d low, high;  // corners of the box, image pixels
  std::string name;
};

// The letterbox along one axis: the image is scaled to the input pixels [start, stop).
struct Axis {
  int image, input, start, stop;

  // Scales the image to fit the training size and centers it.
  static Axis fit(int image, int size, double scale, int multiple) {
    const int input = (size + multiple - 1) / multiple * multiple;
    const double shift = (input - scale * image) / 2;
    const int start = std::nearbyint(shift);  // rounds halves to even
    return {image, input, start, std::max(start + 1, int(std::nearbyint(scale * image + shift)))};
  }

  // Without a training size, the image keeps its size.
  static Axis keep(int image, int multiple) {
    const int input = (image | (multiple - 1)) + 1, start = input / 2 - image / 2;
    return {image, input, start, start + image};
  }

  // An input coordinate in image pixels, clipped to the image.
  double to_image(double x) const {
    return std::clamp((x - start) * image / (stop - start), 0.0, double(image));
  }
};

// The metadata of a model; each value is JSON.
json read_metadata(const Ort::Session& session) {
  Ort::AllocatorWithDefaultOptions allocator;
  const auto metadata = session.GetModelMetadata();
  json model;
  for (const auto& key : metadata.GetCustomMetadataMapKeysAllocated(allocator))
    model[key.get()] =
        json::parse(metadata.LookupCustomMetadataMapAllocated(key.get(), allocator).get());
  return model;
}

// The network input: the image, scaled and centered on black.
cv::Mat letterbox(const cv::Mat& image, const Axis& x, const Axis& y) {
  const cv::Rect place(x.start, y.start, x.stop - x.start, y.stop - y.start);
  const bool shrinks = place.width < image.cols / 2 || place.height < image.rows / 2;
  cv::Mat input = cv::Mat::zeros(y.input, x.input, CV_8UC3);
  cv::resize(image, input(place), place.size(), 0, 0,
             shrinks ? cv::INTER_AREA : cv::INTER_LINEAR);
  return input;
}

// Detects objects in an RGB image, best first.
std::vector<Detection> detect(Ort::Session& session, const cv::Mat& image,
                              std::optional<double> threshold) {
  const json model = read_metadata(session), size = model.at("image_size");
  const int multiple = model.at("size_multiple");
  Axis x = Axis::keep(image.cols, multiple), y = Axis::keep(image.rows, multiple);
  if (!size.is_null()) {
    const int height = size[0], width = size[1];
    const double scale = std::min(double(height) / image.rows, double(width) / image.cols);
    x = Axis::fit(image.cols, width, scale, multiple);
    y = Axis::fit(image.rows, height, scale, multiple);
  }

  cv::Mat input = letterbox(image, x, y);
  const int64_t shape[] = {1, y.input, x.input, 3};
  const auto images = Ort::Value::CreateTensor<uint8_t>(
      Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault), input.data,
      input.total() * input.elemSize(), shape, 4);
  const char *inputs[] = {"images"}, *names[] = {"boxes", "scores", "labels"};
  const auto outputs = session.Run(Ort::RunOptions(), inputs, &images, 1, names, 3);
  const auto* boxes = outputs[0].GetTensorData<float>();
  const auto* scores = outputs[1].GetTensorData<float>();
  const auto* labels = outputs[2].GetTensorData<int64_t>();

  const json& stored = model.at("thresholds");  // null, or for each class null or a number
  const auto least = [&](int64_t label) {
    if (threshold) return *threshold;
    const bool has_own = stored.is_array() && stored[label].is_number();
    return has_own ? double(stored[label]) : kDefaultThreshold;
  };
  std::vector<Detection> found;
  const auto count = outputs[1].GetTensorTypeAndShapeInfo().GetElementCount();
  for (size_t i = 0; i < count; ++i, boxes += 4) {
    const cv::Point2d low(x.to_image(boxes[0]), y.to_image(boxes[1]));
    const cv::Point2d high(x.to_image(boxes[2]), y.to_image(boxes[3]));
    if (scores[i] >= least(labels[i]) && scores[i] > 0 && high.x > low.x && high.y > low.y)
      found.push_back({scores[i], low, high, model.at("class_names")[labels[i]]});
  }
  return found;
}

int main(int count, char** arguments) try {
  if (count != 4 && count != 5)
    throw std::invalid_argument("usage: detect model.onnx photo.jpg detections.jpg [threshold]");
  const std::filesystem::path model = arguments[1], photo = arguments[2];
  if (!exists(model)) throw std::invalid_argument("cannot read model " + model.string());
  cv::Mat image = exists(photo) ? cv::imread(photo.string()) : cv::Mat(), rgb;
  if (image.empty()) throw std::invalid_argument("cannot read image " + photo.string());
  cv::cvtColor(image, rgb, cv::COLOR_BGR2RGB);

  Ort::Env env;
  Ort::Session session(env, model.c_str(), Ort::SessionOptions());
  std::optional<double> threshold;
  if (count == 5) threshold = std::stod(arguments[4]);
  for (const auto& [score, low, high, name] : detect(session, rgb, threshold)) {
    std::cout << cv::format("%.6f %.3f %.3f %.3f %.3f ", score, low.x, low.y, high.x, high.y)
              << name << "\n";
    cv::rectangle(image, low, high, {0, 255, 0}, 2);
    cv::putText(image, name + cv::format(" %.2f", score), low + cv::Point2d(3, 15),
                cv::FONT_HERSHEY_SIMPLEX, 0.5, {0, 255, 0});
  }
  cv::imwrite(arguments[3], image);
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
