"""The app: pages for analysts and marketers; everything that decides lives outside the pages."""
