"""A page with one small Plotly chart and nothing else: what Streamlit and Plotly take alone."""

import plotly.graph_objects as go
import streamlit as st

st.set_page_config(page_title="Empty", layout="wide")
st.title("Empty")
st.plotly_chart(go.Figure(go.Scatter(x=[0, 1, 2], y=[0, 1, 4])), theme=None, key="only")
